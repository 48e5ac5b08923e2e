"""Public SSH keys as people paste them: parsed by a library, judged, fingerprinted. Pure."""

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

RSA_BITS_MIN = 3072
#: Nothing that we accept comes near it: an RSA key of 16,384 bits takes 2,750 characters.
TEXT_MAX = 8000
COMMENT_MAX = 100
#: Key type -> the word people know it by.
KINDS = {
    "ssh-ed25519": "Ed25519",
    "ecdsa-sha2-nistp256": "ECDSA",
    "ecdsa-sha2-nistp384": "ECDSA",
    "ecdsa-sha2-nistp521": "ECDSA",
    "ssh-rsa": "RSA",
    "sk-ssh-ed25519@openssh.com": "Ed25519 security key",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA security key",
}
HOW = "Paste the one line of a public key, such as the content of ~/.ssh/id_ed25519.pub."


class BadKey(ValueError):
    """The text is no public key that we take; `words` says why and what to do."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that we take. `line` is what is kept: type and body, without comment; `fingerprint` as OpenSSH prints it."""

    kind: str
    kind_words: str
    bits: int
    line: str
    fingerprint: str
    comment: str


def parse_public_key(text: str) -> PublicKey:
    """Read one public key. Raises BadKey with words for the person."""
    kind, body, comment = _split(text)
    if kind == "ssh-dss":
        raise BadKey("DSA keys are not safe any more. Make a new one: ssh-keygen -t ed25519")
    if kind not in KINDS:
        raise BadKey(f"This does not begin with a key type that we take ({', '.join(sorted(set(KINDS.values())))}). {HOW}")
    blob = _decoded(body)
    bits = _bits(kind, body)
    if kind == "ssh-rsa" and bits < RSA_BITS_MIN:
        raise BadKey(f"This RSA key has {bits} bits; {RSA_BITS_MIN} are the least. A shorter key that is safer: ssh-keygen -t ed25519")
    return PublicKey(kind, KINDS[kind], bits, f"{kind} {body}", fingerprint(blob), comment)


def fingerprint(blob: bytes) -> str:
    """`SHA256:...` of a key's wire form, as `ssh-keygen -l` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _split(text: str) -> tuple[str, str, str]:
    """Type, body and comment of the line. Raises BadKey for what is no single line of a public key."""
    text = text.strip()
    if "PRIVATE KEY" in text:
        raise BadKey("This is a private key: keep it to yourself, and treat it as seen by others now. " + HOW)
    if len(text) > TEXT_MAX:
        raise BadKey(f"This is too long for a public key. {HOW}")
    if text.startswith("---- BEGIN SSH2"):
        raise BadKey("This is the format of RFC 4716. Turn it into one line by: ssh-keygen -i -f FILE")
    if not text or not text.isprintable():
        raise BadKey(f"One key, on one line, please. {HOW}")
    words = text.split(None, 2)
    if len(words) > 1 and words[0] not in (*KINDS, "ssh-dss") and any(word in KINDS for word in re.split(r"\s+", text)):
        raise BadKey("Options before the key (command=, from=, ...) are not taken. Begin with the key type.")
    if len(words) < 2:
        raise BadKey(f"This is not a whole public key. {HOW}")
    return words[0], words[1], words[2].strip()[:COMMENT_MAX] if len(words) > 2 else ""


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise BadKey(f"The key is damaged: part of it seems to be missing. {HOW}") from error


def _bits(kind: str, body: str) -> int:
    """Size of the key; reading it is what proves that it is one."""
    try:
        key = load_ssh_public_key(f"{kind} {body}".encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"The key is damaged: part of it seems to be missing. {HOW}") from error
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size
    return {"521": 521, "384": 384}.get(kind[-3:], 256)
