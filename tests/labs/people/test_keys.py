"""Public keys as people paste them, made by OpenSSH itself."""

import base64
import struct
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from labs.people.keys import BadKey, parse_public_key


def _made(folder: Path, kind: str, bits: int = 0) -> Path:
    path = folder / f"{kind}-{bits}"
    size = ["-b", str(bits)] if bits else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "me at home", "-f", str(path)], check=True)
    return path.with_suffix(".pub")


def _listed(path: Path) -> str:
    return subprocess.run(["ssh-keygen", "-lf", str(path)], check=True, capture_output=True, text=True).stdout.split()[1]


def _wire(kind: str, *parts: bytes) -> str:
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (kind.encode(), *parts))
    return f"{kind} {base64.b64encode(blob).decode()} token"


@pytest.mark.parametrize(("kind", "bits"), [("ed25519", 0), ("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521), ("rsa", 3072)])
def test_a_good_key_is_read_with_openssh_s_own_fingerprint(tmp_path: Path, kind: str, bits: int) -> None:
    path = _made(tmp_path, kind, bits)
    key = parse_public_key(f"\n {path.read_text()} ")
    assert key.fingerprint == _listed(path)
    assert key.comment == "me at home"
    assert key.bits == (bits or 256)
    assert path.read_text().startswith(key.line) and "me at home" not in key.line


def test_keys_of_security_keys_are_read() -> None:
    plain = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert parse_public_key(_wire("sk-ssh-ed25519@openssh.com", plain, b"ssh:")).kind_words == "Ed25519 security key"
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert parse_public_key(_wire("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", point, b"ssh:")).bits == 256


def test_a_weak_key_is_refused_with_a_way_out(tmp_path: Path) -> None:
    for text, words in ((_made(tmp_path, "rsa", 2048).read_text(), "2048 bits"), (_wire("ssh-dss", b"p"), "DSA keys are not safe")):
        with pytest.raises(BadKey, match=words) as refusal:
            parse_public_key(text)
        assert "ssh-keygen -t ed25519" in str(refusal.value)


def test_a_private_key_is_refused_as_what_it_is(tmp_path: Path) -> None:
    private = _made(tmp_path, "ed25519").with_suffix("").read_text()
    with pytest.raises(BadKey, match="private key") as refusal:
        parse_public_key(private)
    assert private.splitlines()[1] not in str(refusal.value)


def test_options_before_the_key_are_refused(tmp_path: Path) -> None:
    line = _made(tmp_path, "ed25519").read_text()
    for options in ('command="rm -rf /"', "no-pty", 'from="10.0.0.0/8",no-pty', "cert-authority"):
        with pytest.raises(BadKey, match="Options before the key"):
            parse_public_key(f"{options} {line}")


def test_damaged_strange_and_hostile_text_is_refused(tmp_path: Path) -> None:
    line = _made(tmp_path, "ed25519").read_text().strip()
    kind, body, _ = line.split(None, 2)
    other = _made(tmp_path, "rsa", 3072).read_text().split()[1]
    empty = ["", "   ", "ssh-ed25519", "hello world", "ssh-foo AAAA"]
    damaged = [f"{kind} {body[:-8]}", f"{kind} {body[:10]}*{body[11:]}", f"{kind} {other}"]
    strange = [f"{line}\n{line}", f"{kind} {body} \x1b[31mred", "x" * 100_000, f"{kind} {body} " + "c" * 9000, "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA"]
    for text in empty + damaged + strange:
        with pytest.raises(BadKey):
            parse_public_key(text)
