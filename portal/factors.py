"""The second factor: who lacks one where the house demands it."""

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.conf import settings

from labs.people.models import User

#: What counts as one; recovery codes alone do not.
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def factor_missing(user: User) -> bool:
    """Must this person set up a second factor before anything else?"""
    if not (settings.ADMIN_TWO_FACTOR and user.is_administrator):
        return False
    return not get_adapter().is_mfa_enabled(user, types=FACTORS)
