"""Secrets: keys derived from the one of the installation, and random ones of which only a digest is kept."""

import base64
import hashlib
import hmac
import secrets

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.utils.encoding import force_bytes


def derive(purpose: str) -> bytes:
    """32 bytes for `purpose`; knowing one tells nothing of another."""
    return hmac.new(force_bytes(settings.SECRET_KEY), f"gpulab:{purpose}".encode(), hashlib.sha256).digest()


def secret_new(prefix: str) -> str:
    """A bearer secret of 32 random bytes."""
    return prefix + secrets.token_urlsafe(32)


def secret_digest(secret: str) -> str:
    """What is kept of a secret. It is random and long, so that a plain SHA-256 cannot be guessed back."""
    return hashlib.sha256(secret.encode()).hexdigest()


def seal(purpose: str, text: str) -> str:
    """A secret of a person's that must be used again: readable only with the installation's own secret."""
    return _box(purpose).encrypt(text.encode()).decode()


def unseal(purpose: str, sealed: str) -> str | None:
    """What was sealed for that purpose; None when it was not, or the installation's secret has changed since."""
    try:
        return _box(purpose).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


def _box(purpose: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derive(f"seal:{purpose}")))
