"""A campus's OpenID Connect provider for the tests: real HTTP, real codes with PKCE, tokens signed by a real key."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "gpulab", "a-secret-of-the-campus"


@dataclass
class Provider:
    """Who signs in next, and what was asked of it. `key` is the one that it publishes, `signs` the one that it signs with."""

    url: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    signs: Any = None
    audience: str = CLIENT
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def agree(self, query: dict[str, str]) -> str:
        """The person agrees: the address to which the provider sends the browser back."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def tokens(self, form: dict[str, str]) -> dict[str, Any] | None:
        """For a code that fits its PKCE verifier and the client's secret; once."""
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if asked is None or form.get("client_secret") != SECRET or asked["code_challenge"] != base64.urlsafe_b64encode(digest).decode().rstrip("="):
            return None
        now = int(time.time())
        claims = {"iss": self.url, "aud": self.audience, "iat": now, "exp": now + 60, "sub": self.person["sub"]}
        token = jwt.encode(claims, self.signs or self.key, "RS256", headers={"kid": "1"})
        return {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 60, "id_token": token}

    def documents(self) -> dict[str, dict[str, Any]]:
        """What anybody may read."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/me", "jwks_uri": f"{self.url}/keys", "token_endpoint_auth_methods_supported": ["client_secret_post"],
            },
            "/keys": {"keys": [public | {"kid": "1", "alg": "RS256", "use": "sig"}]},
            "/me": self.person,
        }  # fmt: skip


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve one for as long as the block lasts."""
    made = Provider()

    class Door(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._say(made.documents().get(urlsplit(self.path).path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._say(made.tokens({name: values[0] for name, values in parse_qs(body).items()}))

        def _say(self, document: dict[str, Any] | None) -> None:
            self.send_response(200 if document is not None else 400)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document or {"error": "invalid_grant"}).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()
