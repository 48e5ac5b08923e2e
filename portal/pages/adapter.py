"""What allauth asks this site about accounts and second factors."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from labs.bus.bus import publish
from labs.bus.secrets import seal, unseal
from labs.people.models import User
from portal.pages.known import known_keep, known_people, newcomer_tell

SEAL = "second-factor"
#: How a sealed text begins; a secret never does.
SEALED = "gAAAA"


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by an administrator, by invitation or by the campus; nobody signs up by themselves."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def pre_login(self, request: HttpRequest, user: AbstractBaseUser, **more: Any) -> HttpResponse | None:
        """Remember whether the account was ever used: the first browser of all is no news."""
        request.first_sign_in = user.last_login is None  # type: ignore[attr-defined]
        answer: HttpResponse | None = super().pre_login(request, user, **more)
        return answer

    def post_login(self, request: HttpRequest, user: AbstractBaseUser, **more: Any) -> HttpResponse:
        """Keep the browser in mind, and tell its owner of a new one."""
        response: HttpResponse = super().post_login(request, user, **more)
        if not isinstance(user, User):
            return response
        if user.pk not in known_people(request) and not getattr(request, "first_sign_in", False):
            newcomer_tell(user=user, agent=self.get_http_user_agent(request), address=self.get_client_ip(request), now=timezone.now())
        known_keep(request, response, user)
        return response

    def logout(self, request: HttpRequest) -> None:
        """Signing out ends what was opened from this session: its tabs of labs need a new Open, those of another browser go on."""
        super().logout(request)
        publish("relay", "session")


class FactorAdapter(DefaultMFAAdapter):
    """Second factors: their secrets are sealed, and passkeys belong to the portal's own name."""

    def encrypt(self, text: str) -> str:
        """What the database keeps."""
        return seal(SEAL, text)

    def decrypt(self, encrypted_text: str) -> str:
        """What was sealed; nothing that any code fits to, once the installation's secret has changed. Older secrets were kept as they are."""
        return (unseal(SEAL, encrypted_text) or "") if encrypted_text.startswith(SEALED) else encrypted_text

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The portal's host, whatever name the request came by."""
        return {"id": urlsplit(settings.PORTAL_URL).hostname or "", "name": "GPU Lab"}

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Any) -> str:  # noqa: A002  (allauth's name)
        """What a new passkey is called until its owner says better."""
        number = user.authenticator_set.filter(type=type).count() + 1
        return "My passkey" if number == 1 else f"My passkey {number}"
