"""Bearer tokens and their scopes. Cookies are not looked at, so no other site can act for a signed-in person."""

from django.http import HttpRequest
from django.utils import timezone
from ninja.errors import AuthorizationError
from ninja.security import HttpBearer

from labs.people.models import ApiToken, User
from labs.people.queries import person_by_token
from portal.api.rates import rate_spend
from portal.factors import factor_missing

Scope = ApiToken.Scope


class BearerToken(HttpBearer):
    """A live token of an active person; `request.auth` is the ApiToken. Spends one request of its rate."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        """The token's row, or None for one that is unknown, expired, revoked or of a disabled person."""
        found = person_by_token(secret=token, now=timezone.now())
        if found:
            rate_spend(request=request, key=str(found.pk))
            _factor_demand(found)
        return found


def caller(request: HttpRequest) -> User:
    """Whose token it is."""
    return _token(request).user


def is_admin(request: HttpRequest) -> bool:
    """May this request see and touch what is not the caller's? Takes an administrator and a token made for it."""
    return _token(request).scope == Scope.ADMIN and caller(request).is_administrator


def may_launch(request: HttpRequest) -> None:
    """Refuse a token that may only read."""
    if _token(request).scope == Scope.READ:
        raise AuthorizationError(message="This token may only read. Make one of scope launch.")


def may_administer(request: HttpRequest) -> None:
    """Refuse everything but an administrator's token of scope admin."""
    if not is_admin(request):
        raise AuthorizationError(message="This needs an administrator's token of scope admin.")


def _factor_demand(token: ApiToken) -> None:
    """A token that administers is as strong as the account behind it."""
    if token.scope == Scope.ADMIN and factor_missing(token.user):
        raise AuthorizationError(message="This house demands a second factor of administrators. Set one up on the account page; this token works again then.")


def _token(request: HttpRequest) -> ApiToken:
    token: ApiToken = request.auth  # type: ignore[attr-defined]  # set by ninja after authenticate()
    return token
