"""Rewrite what a registry holds, as another maker would: a copy of an image under a tag, or one that says it is made for arm64."""

import hashlib
import json
import urllib.parse
import urllib.request
from typing import Any

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def ask(url: str, *, method: str = "GET", data: bytes | None = None, **headers: str) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, data=data, method=method, headers=headers), timeout=20)


def blob_put(base: str, name: str, content: bytes) -> str:
    """Put a blob into a repository of the registry; its digest."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    begun = ask(f"{base}/{name}/blobs/uploads/", method="POST", data=b"")
    where = begun.headers["Location"]
    glue = "&" if "?" in where else "?"
    ask(f"{where}{glue}digest={urllib.parse.quote(digest)}", method="PUT", data=content, **{"Content-Type": "application/octet-stream"})
    return digest


def copied(address: str, *, source: str, target: str, architecture: str = "amd64") -> str:
    """`source` and `target` are NAME:TAG; the digest of the copy."""
    base = f"http://{address}/v2"
    (old, old_tag), (new, new_tag) = source.split(":"), target.split(":")
    manifest = json.load(ask(f"{base}/{old}/manifests/{old_tag}", Accept=MANIFEST))
    config = json.load(ask(f"{base}/{old}/blobs/{manifest['config']['digest']}"))
    config["architecture"] = architecture
    content = json.dumps(config).encode()
    manifest["config"] |= {"digest": blob_put(base, new, content), "size": len(content)}
    for one in manifest["layers"]:
        blob_put(base, new, ask(f"{base}/{old}/blobs/{one['digest']}").read())
    done = ask(f"{base}/{new}/manifests/{new_tag}", method="PUT", data=json.dumps(manifest).encode(), **{"Content-Type": MANIFEST})
    return str(done.headers["Docker-Content-Digest"])
