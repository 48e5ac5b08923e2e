"""One's own account: profile, SSH keys, API tokens, sessions. Password and two-factor are allauth's pages."""

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from labs.bus.bus import publish
from labs.people.hostkeys import host_keys
from labs.people.services import passes_revoke, person_update, ssh_key_add, ssh_key_remove, token_create, token_revoke
from portal.pages.access import PersonRequest, person_required
from portal.pages.forms.account import KeyForm, ProfileForm, TokenForm
from portal.pages.quota import bars_of
from portal.pages.telling import try_form

SECRET = "api_token_secret"


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def account(request: PersonRequest) -> HttpResponse:
    """Name, role, groups and limits."""
    user, now = request.user, timezone.now()
    form = ProfileForm(request.POST or None, initial={"display_name": user.display_name})

    def rename() -> None:
        person_update(user=user, display_name=form.cleaned_data["display_name"], role=user.role, actor=user, now=now)

    if request.method == "POST" and try_form(form, rename):
        messages.success(request, "Your name was changed.")
        return redirect("account")
    context = {"form": form, "bars": bars_of(user=user, now=now), "memberships": user.memberships.select_related("group")}
    return render(request, "people/account.html", context, status=_status(form))


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def account_keys(request: PersonRequest) -> HttpResponse:
    """SSH keys; posted, one more."""
    form = KeyForm(request.POST or None, request.FILES or None)

    def add() -> None:
        key = ssh_key_add(user=request.user, now=timezone.now(), **{name: form.cleaned_data[name] for name in ("name", "text", "proof")})
        messages.success(request, f"Key {key.name} was added.")

    if request.method == "POST" and try_form(form, add):
        return redirect("account_keys")
    door = {"host": settings.SSH_PUBLIC_HOST, "port": settings.SSH_PUBLIC_PORT, "host_keys": host_keys(now=timezone.now())}
    context = {"form": form, "keys": list(request.user.ssh_keys.all()), **door}
    return render(request, "people/keys.html", context, status=_status(form))


@require_POST
@person_required
def account_key_remove(request: PersonRequest, key_id: int) -> HttpResponse:
    """Remove a key; connections made with it are cut."""
    ssh_key_remove(user=request.user, key_id=key_id, now=timezone.now())
    messages.success(request, "The key was removed.")
    return redirect("account_keys")


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def account_tokens(request: PersonRequest) -> HttpResponse:
    """API tokens; posted, one more, whose secret is shown once on the page that follows."""
    user, now = request.user, timezone.now()
    form = TokenForm(request.POST or None, user=user)

    def add() -> None:
        data = form.cleaned_data
        _, request.session[SECRET] = token_create(user=user, name=data["name"], scope=data["scope"], days=data["days"], now=now)

    if request.method == "POST" and try_form(form, add):
        return redirect("account_tokens")
    tokens = user.api_tokens.filter(revoked_at=None, expires_at__gt=now)
    context = {"form": form, "tokens": list(tokens), "secret": request.session.pop(SECRET, None)}
    return render(request, "people/tokens.html", context, status=_status(form))


@require_POST
@person_required
def account_token_revoke(request: PersonRequest, token_id: int) -> HttpResponse:
    """Revoke a token."""
    token_revoke(user=request.user, token_id=token_id, now=timezone.now())
    messages.success(request, "The token was revoked.")
    return redirect("account_tokens")


@require_http_methods(["GET", "HEAD", "POST"])
@person_required
def account_sessions(request: PersonRequest) -> HttpResponse:
    """Where one is signed in; posted, everywhere else is signed out, and open labs' tabs with it."""
    sessions = UserSession.objects.purge_and_list(request.user)
    here = request.session.session_key
    if request.method == "POST":
        for session in sessions:
            if session.session_key != here:
                session.end()
        passes_revoke(user=request.user, actor=request.user, now=timezone.now())
        messages.success(request, "You are signed out everywhere else, and open JupyterLab tabs need a new Open.")
        return redirect("account_sessions")
    return render(request, "people/sessions.html", {"sessions": sessions, "here": here})


@require_POST
@person_required
def account_session_end(request: PersonRequest, session_id: int) -> HttpResponse:
    """Sign one other browser out; the tabs of labs that it opened end with it."""
    session = UserSession.objects.get(user=request.user, pk=session_id)
    if session.session_key == request.session.session_key:
        return redirect("account_logout")
    session.end()
    publish("relay", "session")
    messages.success(request, "That browser is signed out, and its tabs of JupyterLab with it.")
    return redirect("account_sessions")


def _status(form: ProfileForm | KeyForm | TokenForm) -> int:
    return 422 if form.is_bound and not form.is_valid() else 200
