"""What allauth asks this site about accounts and second factors."""

import logging
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
from labs.people.visiting import sign_in_record
from portal.pages.known import factor_changed_tell, known_keep, known_people, newcomer_tell

log = logging.getLogger(__name__)
SEAL = "second-factor"
#: allauth's name of a change of factors -> what its owner reads.
CHANGES = {
    "totp_activated": "An authenticator app was set up.",
    "totp_deactivated": "The authenticator app was switched off.",
    "webauthn_added": "A passkey was added.",
    "webauthn_removed": "A passkey was removed.",
    "recovery_codes_generated": "New recovery codes were made.",
}
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
        sign_in_record(user=user, what="in", address=self.get_client_ip(request), now=timezone.now())
        if user.pk not in known_people(request) and not getattr(request, "first_sign_in", False):
            newcomer_tell(user=user, agent=self.get_http_user_agent(request), address=self.get_client_ip(request), now=timezone.now())
        known_keep(request, response, user)
        return response

    def logout(self, request: HttpRequest) -> None:
        """Signing out is an event; what this session had opened in labs ends with it, and what others opened goes on."""
        if isinstance(request.user, User):
            sign_in_record(user=request.user, what="out", address=self.get_client_ip(request), now=timezone.now())
        super().logout(request)
        publish("relay", "session")

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """A failed try is an event of the account that it was for; of addresses that nobody has, nothing is kept."""
        user = User.objects.filter(email__iexact=str(credentials.get("email", ""))).first()
        if user:
            sign_in_record(user=user, what="failed", address=self.get_client_ip(request), now=timezone.now())
        else:
            log.warning("A sign-in from %s with an address that nobody has failed.", self.get_client_ip(request))


class FactorAdapter(DefaultMFAAdapter):
    """Second factors: their secrets are sealed, and passkeys belong to the portal's own name."""

    def encrypt(self, text: str) -> str:
        """What the database keeps."""
        return seal(SEAL, text)

    def decrypt(self, encrypted_text: str) -> str:
        """What was sealed; nothing that any code fits to, once the installation's secret has changed. Older secrets were kept as they are."""
        return (unseal(SEAL, encrypted_text) or "") if encrypted_text.startswith(SEALED) else encrypted_text

    def send_notification_mail(self, template_prefix: str, user: AbstractBaseUser, *args: Any, **more: Any) -> None:
        """A change of factors: an event, and word to the person by the ways that they chose."""
        if isinstance(user, User):
            factor_changed_tell(user=user, words=CHANGES[template_prefix.rpartition("/")[2]], now=timezone.now())

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The portal's host, whatever name the request came by."""
        return {"id": urlsplit(settings.PORTAL_URL).hostname or "", "name": "GPU Lab"}

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Any) -> str:  # noqa: A002  (allauth's name)
        """What a new passkey is called until its owner says better."""
        number = user.authenticator_set.filter(type=type).count() + 1
        return "My passkey" if number == 1 else f"My passkey {number}"
