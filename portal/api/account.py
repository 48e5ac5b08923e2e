"""The caller's own keys, tokens and messages."""

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from labs.notices.kinds import CHANNELS
from labs.notices.models import Notice
from labs.notices.queries import choices_of
from labs.notices.services import choices_set
from labs.people.errors import Refused
from labs.people.models import ApiToken, SshKey
from labs.people.services import ssh_key_add, ssh_key_remove, token_create, token_revoke
from portal.api.auth import Scope, caller, may_launch
from portal.api.pagination import Cursor, Limit, PageOf, page
from portal.api.schemas import Number, Strict

router = Router(tags=["me"])


class Key(Schema):
    """An SSH key."""

    id: int
    name: str
    comment: str
    kind: str
    fingerprint: str
    created_at: datetime
    last_used_at: datetime | None


class KeyPage(PageOf):
    """A page of keys."""

    items: list[Key]


class KeyWish(Strict):
    """A public key to add."""

    text: str = Field(min_length=1, max_length=20_000, description="A line as in ~/.ssh/id_ed25519.pub.")
    name: str = Field("", max_length=100, pattern=r"^[^\x00-\x1f]*$", description="Empty for the key's own comment.")
    proof: str = Field(
        "", max_length=20_000, description="Only for a key that another account has: what `ssh-keygen -Y sign` prints for the words that the refusal tells."
    )


class Token(Schema):
    """An API token without its secret."""

    id: int
    name: str
    prefix: str
    scope: Literal["read", "launch", "admin"]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class TokenPage(PageOf):
    """A page of live tokens."""

    items: list[Token]


class TokenWish(Strict):
    """A token to make."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*$")
    scope: Literal["read", "launch", "admin"] = "launch"
    days: int = Field(90, ge=1, le=365)


class TokenMade(Token):
    """A new token; its secret is shown this once."""

    secret: str


class Message(Schema):
    """Something that the caller was told."""

    id: int
    kind: str
    subject: str
    words: str
    url: str
    queued_at: datetime


class MessagePage(PageOf):
    """A page of messages, newest first."""

    items: list[Message]


class Choice(Schema):
    """How one sort of message comes."""

    kind: str
    words: str
    mail: bool
    webhook: bool


class Choices(Schema):
    """Every sort of message that concerns the caller."""

    items: list[Choice]


class ChoicesWish(Strict):
    """By which channels each sort should come; what is not named stays."""

    chosen: dict[str, list[Literal["mail", "webhook"]]] = Field(max_length=50)


@router.get("/me/keys", response=KeyPage, summary="List your SSH keys")
def key_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """With when each was used last."""
    return page(request, SshKey.objects.filter(user=caller(request)), order=("name", "id"), cursor=cursor, limit=limit, show=lambda row: row)


@router.post("/me/keys", response={201: Key}, summary="Add an SSH key")
def key_add(request: HttpRequest, wish: KeyWish) -> Status[Any]:
    """It opens your labs from now on."""
    may_launch(request)
    return Status(201, ssh_key_add(user=caller(request), name=wish.name, text=wish.text, proof=wish.proof, now=timezone.now()))


@router.get("/me/keys/{int:key_id}", response=Key, summary="Look at an SSH key")
def key_look(request: HttpRequest, key_id: Number) -> Any:
    """404 for one that is not yours."""
    return SshKey.objects.get(user=caller(request), pk=key_id)


@router.delete("/me/keys/{int:key_id}", response={204: None}, summary="Remove an SSH key")
def key_remove(request: HttpRequest, key_id: Number) -> Status[None]:
    """Connections made with it are cut."""
    may_launch(request)
    ssh_key_remove(user=caller(request), key_id=key_id, now=timezone.now())
    return Status(204, None)


@router.get("/me/tokens", response=TokenPage, summary="List your API tokens")
def token_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """Those that live; never their secrets."""
    rows = ApiToken.objects.filter(user=caller(request), revoked_at=None, expires_at__gt=timezone.now())
    return page(request, rows, order=("-created_at", "-id"), cursor=cursor, limit=limit, show=lambda row: row)


@router.post("/me/tokens", response={201: TokenMade}, summary="Make an API token")
def token_make(request: HttpRequest, wish: TokenWish) -> Status[Any]:
    """Its scope is at most that of the token that asks."""
    may_launch(request)
    if wish.scope == Scope.ADMIN and _this(request).scope != Scope.ADMIN:
        raise Refused("A token makes no token that may more than itself.", field="scope")
    token, secret = token_create(user=caller(request), name=wish.name, scope=wish.scope, days=wish.days, now=timezone.now())
    return Status(201, {name: getattr(token, name) for name in Token.model_fields} | {"secret": secret})


@router.delete("/me/tokens/this", response={204: None}, summary="Revoke the token that asks")
def token_end(request: HttpRequest) -> Status[None]:
    """Signing out."""
    token_revoke(user=caller(request), token_id=_this(request).pk, now=timezone.now())
    return Status(204, None)


@router.get("/me/tokens/{int:token_id}", response=Token, summary="Look at an API token")
def token_look(request: HttpRequest, token_id: Number) -> Any:
    """404 for one that does not live, or is not yours."""
    return ApiToken.objects.get(user=caller(request), pk=token_id, revoked_at=None, expires_at__gt=timezone.now())


@router.delete("/me/tokens/{int:token_id}", response={204: None}, summary="Revoke an API token")
def token_remove(request: HttpRequest, token_id: Number) -> Status[None]:
    """It opens nothing from now on."""
    may_launch(request)
    token_revoke(user=caller(request), token_id=token_id, now=timezone.now())
    return Status(204, None)


@router.get("/me/notices", response=MessagePage, summary="Read what you were told")
def notice_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """By mail, by chat, or only here."""
    return page(request, Notice.objects.filter(user=caller(request)), order=("-queued_at", "-id"), cursor=cursor, limit=limit, show=lambda row: row)


@router.get("/me/choices", response=Choices, summary="Look at what you are told, and how")
def choice_list(request: HttpRequest) -> Any:
    """Every sort of message that concerns you."""
    return _choices(request)


@router.put("/me/choices", response=Choices, summary="Choose what you are told, and how")
def choice_set(request: HttpRequest, wish: ChoicesWish) -> Any:
    """422 for a sort of message that there is not."""
    may_launch(request)
    now = {one.kind.code: [name for name in CHANNELS if getattr(one, name)] for one in choices_of(user=caller(request))}
    if set(wish.chosen) - set(now):
        raise Refused("There is no such sort of message, or it does not concern you.", field="chosen")
    choices_set(user=caller(request), chosen=now | {kind: list(ways) for kind, ways in wish.chosen.items()}, now=timezone.now())
    return _choices(request)


def _choices(request: HttpRequest) -> dict[str, Any]:
    rows = choices_of(user=caller(request))
    return {"items": [{"kind": one.kind.code, "words": one.kind.words, "mail": one.mail, "webhook": one.webhook} for one in rows]}


def _this(request: HttpRequest) -> ApiToken:
    token: ApiToken = request.auth  # type: ignore[attr-defined]
    return token
