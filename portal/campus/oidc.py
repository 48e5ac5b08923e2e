"""OpenID Connect with the campus: allauth's, with every signature checked, and who the person is here decided by the house."""

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from labs.people.campus import Visitor, names_of
from labs.people.errors import Refused
from labs.people.visiting import visitor_enter
from portal.campus.reading import reading

UNVERIFIED = "The campus does not vouch for your e-mail address. Ask its help desk to confirm it."


class CampusOidc(OpenIDConnectOAuth2Adapter):
    """Checks the signature of an ID token also where it came straight from the provider."""

    def _decode_id_token(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        known = self.openid_config
        found: dict[str, Any] = jwtkit.verify_and_decode(
            credential=id_token, keys_url=known["jwks_uri"], issuer=known["issuer"], audience=app.client_id, lookup_kid=jwtkit.lookup_kid_jwk
        )
        return found


class CampusProvider(OpenIDConnectProvider):
    """The one provider there is; nobody adds parameters of their own to the request."""

    oauth2_adapter_class = CampusOidc

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, str]:
        """None but the house's."""
        found: dict[str, str] = self.get_auth_params()
        return found


class CampusAdapter(DefaultSocialAccountAdapter):
    """Who comes by the campus is found or made by the rules of the house, never by a form."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Never by themselves: `pre_social_login` has made the account where the setting allows it."""
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Find or make the account, with today's role and groups; whoever is refused reads why."""
        told = _claims(sociallogin.account.extra_data)
        try:
            user = visitor_enter(visitor=_visitor(told), reading=reading(), now=timezone.now())
        except Refused as refusal:
            raise ImmediateHttpResponse(render(request, "account/refused.html", {"words": refusal.words}, status=403)) from refusal
        if not sociallogin.is_existing or sociallogin.user != user:
            sociallogin.connect(request, user)


def _claims(data: dict[str, Any]) -> dict[str, Any]:
    """What the ID token and the provider's own page say of the person; the page goes before."""
    return {**data.get("id_token", {}), **data.get("userinfo", {})}


def _visitor(told: dict[str, Any]) -> Visitor:
    """The person. Refused where the provider does not vouch for the address and is not trusted without."""
    if told.get("email_verified") is not True and not settings.OIDC_TRUST_MAIL:
        raise Refused(UNVERIFIED)
    email, name = told.get("email"), told.get("name")
    groups = names_of(told.get(settings.OIDC_GROUPS_CLAIM, []))
    return Visitor(str(email or "").strip().lower(), str(name or "")[:100], groups)


@require_POST
def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Off to the provider."""
    return _led(OAuth2LoginView, request, provider_id)


@require_safe
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Where the provider sends people back to."""
    return _led(OAuth2CallbackView, request, provider_id)


def _led(view: type[OAuth2LoginView] | type[OAuth2CallbackView], request: HttpRequest, provider_id: str) -> HttpResponse:
    try:
        answer: HttpResponse = view.adapter_view(CampusOidc(request, provider_id))(request)
    except SocialApp.DoesNotExist as error:
        raise Http404 from error
    return answer
