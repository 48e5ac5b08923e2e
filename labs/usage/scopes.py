"""Whose figures somebody may see: one's own; a team's sums for its members; a course's for its teachers; everything for administrators."""

from dataclasses import dataclass

from django.core.exceptions import ObjectDoesNotExist

from labs.people.models import Group, Membership, Role, User


@dataclass(frozen=True, slots=True)
class Scope:
    """A circle of people. `user_ids` None is everybody; `by_person` says that the viewer may see who used what."""

    code: str
    title: str
    user_ids: tuple[int, ...] | None
    by_person: bool = False

    @property
    def is_house(self) -> bool:
        """Is it everybody?"""
        return self.user_ids is None


def scopes_for_viewer(*, viewer: User, administers: bool) -> list[tuple[str, str]]:
    """Code and title of every scope that the viewer can choose, one's own first. `administers`: may they see everything?"""
    offered = [("me", "Me")]
    if administers:
        offered.append(("house", "The whole house"))
    return offered + [(f"group-{group.pk}", str(group)) for group in _groups_for_viewer(viewer, administers)]


def scope_for_viewer(*, viewer: User, code: str, administers: bool) -> Scope:
    """The scope of that code; ObjectDoesNotExist for one that the viewer may not see."""
    if code in ("", "me"):
        return Scope("me", "Me", (viewer.pk,))
    if code == "house" and administers:
        return Scope(code, "The whole house", None, by_person=True)
    kind, _, number = code.partition("-")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise ObjectDoesNotExist
    if kind == "person" and administers:
        person = User.objects.get(pk=int(number))
        return Scope(code, str(person), (person.pk,))
    if kind == "group":
        group = next((one for one in _groups_for_viewer(viewer, administers) if one.pk == int(number)), None)
        if group is not None:
            teaches = viewer.role == Role.TEACHER and group.kind == Group.Kind.COURSE
            return Scope(code, str(group), _members(group), by_person=administers or teaches)
    raise ObjectDoesNotExist


def _groups_for_viewer(viewer: User, administers: bool) -> list[Group]:
    if administers:
        return list(Group.objects.order_by("name"))
    mine = Group.objects.filter(memberships__user=viewer).order_by("name")
    return [group for group in mine if group.kind != Group.Kind.COURSE or viewer.role == Role.TEACHER]


def _members(group: Group) -> tuple[int, ...]:
    """Everybody in the group or below it."""
    children: dict[int | None, list[int]] = {}
    for pk, parent in Group.objects.values_list("pk", "parent_id"):
        children.setdefault(parent, []).append(pk)
    inside, ahead = set(), [group.pk]
    while ahead:
        at = ahead.pop()
        if at not in inside:
            inside.add(at)
            ahead += children.get(at, [])
    return tuple(sorted(set(Membership.objects.filter(group__in=inside).values_list("user_id", flat=True))))
