"""Proof that somebody holds a private key: with it they sign words of ours, by `ssh-keygen -Y sign`. A library checks the signature."""

import hashlib
import hmac
from datetime import datetime

import asyncssh

from labs.bus.secrets import derive

NAMESPACE = "gpulab"
#: Words are good until the end of the next such period, in seconds.
PERIOD_S = 3600
#: A signature by the longest key that we take is far shorter.
SIGNATURE_MOST = 20_000
#: How a shell may end the words: not at all, as Unix, as Windows, as Windows' old shell.
ENDS = ("\n", "\r\n", " \r\n", "")


def sign_command(*, user_id: int, fingerprint: str, now: datetime) -> str:
    """What to run where the private key is; it prints the proof. Its words are for this person and this key only."""
    return f"echo {_words(user_id, fingerprint, _period(now))} | ssh-keygen -Y sign -n {NAMESPACE} -f ~/.ssh/KEY"


def is_proved(*, user_id: int, line: str, fingerprint: str, signature: str, now: datetime) -> bool:
    """Was that signed by this key, for this person, not long ago? `line` is the public key: type and body."""
    if not 0 < len(signature) <= SIGNATURE_MOST:
        return False
    signed = [f"{_words(user_id, fingerprint, _period(now) - ago)}{end}".encode() for ago in (0, 1) for end in ENDS]
    return any(_is_signature(words, line, signature.strip().encode()) for words in signed)


def _is_signature(words: bytes, line: str, signature: bytes) -> bool:
    try:
        return asyncssh.validate_sshsig(words, signature, "owner", f'owner namespaces="{NAMESPACE}" {line}'.encode())
    except (ValueError, asyncssh.Error):  # no signature at all, or one of an unknown kind
        return False


def _words(user_id: int, fingerprint: str, period: int) -> str:
    mac = hmac.new(derive("key-possession"), f"{user_id}:{fingerprint}:{period}".encode(), hashlib.sha256)
    return f"gpulab-{mac.hexdigest()[:32]}"


def _period(now: datetime) -> int:
    return int(now.timestamp()) // PERIOD_S
