"""People and groups, for administrators' tokens of scope admin."""

from typing import Annotated, Any, Literal

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from labs.people.encrypting import group_encrypted_set
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.people.queries import people_all
from labs.people.services import group_create, person_create, person_disable, person_enable, person_groups_set, person_update
from portal.api.auth import caller, may_administer
from portal.api.pagination import Cursor, Limit, PageOf, page
from portal.api.schemas import EXACT, Number, Strict

router = Router(tags=["administration"])
Role = Literal["student", "researcher", "teacher", "administrator"]
PLAIN = r"^[^\x00-\x1f]*$"


class Person(Schema):
    """Somebody with an account."""

    id: int
    email: str
    display_name: str
    role: Role
    is_active: bool
    groups: list[int] = Field(description="Ids of the groups that they are in.")


class PersonPage(PageOf):
    """A page of people."""

    items: list[Person]


class PersonWish(Strict):
    """An account to make. Without a password it is entered by a reset link."""

    email: str = Field(min_length=3, max_length=254, pattern=PLAIN)
    display_name: str = Field(min_length=1, max_length=100, pattern=PLAIN)
    role: Role = "student"
    group: int | None = Field(None, ge=1, le=EXACT)


class PersonChange(Strict):
    """What to change; what is left out stays."""

    display_name: str | None = Field(None, min_length=1, max_length=100, pattern=PLAIN)
    role: Role | None = None
    groups: list[Annotated[int, Field(ge=1, le=EXACT)]] | None = Field(None, max_length=100)


class GroupView(Schema):
    """A node of the tree of groups."""

    id: int
    kind: Literal["organisation", "team", "course"]
    name: str
    slug: str
    parent: int | None = Field(alias="parent_id")
    encrypted_only: bool = Field(description="Labs of its people, and of groups below it, start only on nodes whose workspaces lie encrypted.")


class GroupPage(PageOf):
    """A page of groups."""

    items: list[GroupView]


class GroupWish(Strict):
    """A group to make."""

    kind: Literal["organisation", "team", "course"]
    name: str = Field(min_length=1, max_length=100, pattern=PLAIN)
    slug: str = Field(min_length=1, max_length=60, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    parent: int | None = Field(None, ge=1, le=EXACT)
    encrypted_only: bool = False


class GroupChange(Strict):
    """What to change."""

    encrypted_only: bool


@router.get("/people", response=PersonPage, summary="List people")
def person_list(
    request: HttpRequest, cursor: Cursor, limit: Limit, text: Annotated[str, Query(default="", max_length=100, description="Part of a name or address.")]
) -> Any:
    """Everybody with an account."""
    may_administer(request)
    rows = people_all(text="".join(letter for letter in text if letter.isprintable())).distinct()
    return page(request, rows, order=("display_name", "id"), cursor=cursor, limit=limit, show=_person)


@router.post("/people", response={201: Person}, summary="Make an account")
def person_make(request: HttpRequest, wish: PersonWish) -> Status[Any]:
    """422 with the words when the address is taken."""
    may_administer(request)
    group = _groups([wish.group])[0] if wish.group else None
    made = person_create(email=wish.email, display_name=wish.display_name, role=wish.role, group=group, actor=caller(request), now=timezone.now())
    return Status(201, _person(made))


@router.get("/people/{int:person_id}", response=Person, summary="Look at a person")
def person_look(request: HttpRequest, person_id: Number) -> Any:
    """404 where there is none."""
    may_administer(request)
    return _person(User.objects.get(pk=person_id))


@router.patch("/people/{int:person_id}", response=Person, summary="Change a person")
def person_change(request: HttpRequest, person_id: Number, change: PersonChange) -> Any:
    """A role and groups hold from the next request on."""
    may_administer(request)
    now, actor = timezone.now(), caller(request)
    with transaction.atomic():
        user = User.objects.get(pk=person_id)
        if change.display_name is not None or change.role is not None:
            person_update(user=user, display_name=change.display_name or user.display_name, role=change.role or user.role, actor=actor, now=now)
        if change.groups is not None:
            person_groups_set(user=user, groups=_groups(change.groups), actor=actor, now=now)
    return _person(User.objects.get(pk=person_id))


@router.post("/people/{int:person_id}/disable", response=Person, summary="Disable a person")
def person_shut(request: HttpRequest, person_id: Number) -> Any:
    """Every door is shut to them at once, and their labs are stopped; their files stay."""
    may_administer(request)
    person_disable(user=User.objects.get(pk=person_id), actor=caller(request), now=timezone.now())
    return _person(User.objects.get(pk=person_id))


@router.post("/people/{int:person_id}/enable", response=Person, summary="Enable a person")
def person_open(request: HttpRequest, person_id: Number) -> Any:
    """Let a disabled person in again."""
    may_administer(request)
    person_enable(user=User.objects.get(pk=person_id), actor=caller(request), now=timezone.now())
    return _person(User.objects.get(pk=person_id))


@router.get("/groups", response=GroupPage, summary="List groups")
def group_list(request: HttpRequest, cursor: Cursor, limit: Limit) -> Any:
    """The whole tree, by name."""
    may_administer(request)
    return page(request, Group.objects.all(), order=("name", "id"), cursor=cursor, limit=limit, show=lambda row: row)


@router.get("/groups/{int:group_id}", response=GroupView, summary="Look at a group")
def group_look(request: HttpRequest, group_id: Number) -> Any:
    """404 where there is none."""
    may_administer(request)
    return Group.objects.get(pk=group_id)


@router.post("/groups", response={201: GroupView}, summary="Make a group")
def group_make(request: HttpRequest, wish: GroupWish) -> Status[Any]:
    """An organisation is a root; teams and courses hang below one."""
    may_administer(request)
    parent = _groups([wish.parent])[0] if wish.parent else None
    values = {"kind": wish.kind, "name": wish.name, "slug": wish.slug, "encrypted_only": wish.encrypted_only}
    return Status(201, group_create(**values, parent=parent, actor=caller(request), now=timezone.now()))


@router.patch("/groups/{int:group_id}", response=GroupView, summary="Change a group")
def group_change(request: HttpRequest, group_id: Number, change: GroupChange) -> Any:
    """Whether its people's labs start only on nodes whose workspaces lie encrypted. What runs goes on."""
    may_administer(request)
    group = Group.objects.get(pk=group_id)
    group_encrypted_set(group=group, encrypted_only=change.encrypted_only, actor=caller(request), now=timezone.now())
    return group


def _groups(ids: list[int]) -> list[Group]:
    found = list(Group.objects.filter(pk__in=ids))
    if len(found) != len(set(ids)):
        raise Refused("There is no such group.", field="group")
    return found


def _person(user: User) -> dict[str, Any]:
    names = ("id", "email", "display_name", "role", "is_active")
    return {name: getattr(user, name) for name in names} | {"groups": [one.group_id for one in user.memberships.all()]}
