"""Starting and stopping apps of labs (wishes of doors, facts of the worker), and sharing single ports with others."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from labs.bus.bus import publish
from labs.bus.doorbell import node_queue, ring
from labs.ledger.services import event_record
from labs.lifecycle import states
from labs.lifecycle.addresses import app_port_check, origins_are_apart
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_announce
from labs.notices.services import notice_queue
from labs.people.errors import Refused
from labs.people.models import Group, User
from labs.sharing.models import App, Share
from labs.sharing.queries import teams_of
from labs.sharing.rules import MOST_HOURS, TOOLS, folder_wrong

ONE_ADDRESS = "All labs share one address on this installation, so their apps cannot be opened or shared apart from each other."
NOBODY = "There is nobody with that address here, or not any more."
LEFT = 300


def app_start(*, lab: Lab, tool: str, folder: str, actor: User, now: datetime) -> App:
    """Wish for TensorBoard or VS Code in a running lab; the node's worker starts it. A second click answers with the first one's app."""
    folder = folder.strip().rstrip("/").removeprefix("./")
    if tool not in TOOLS:
        raise Refused("Choose TensorBoard or VS Code.", field="tool")
    if wrong := folder_wrong(folder):
        raise Refused(wrong, field="folder")
    _running_check(lab)
    if tool == "vscode" and lab.node and not lab.node.isolates:
        raise Refused("Labs run here without walls between people, and VS Code in the browser asks for no password. Use VS Code with the SSH command.")
    try:
        with transaction.atomic():
            app = App.objects.create(lab=lab, attempt=lab.attempt, tool=tool, folder=folder, asked_at=now, state_since=now)
            _told(app, f"{app.kind.title} is started on {folder or 'the workspace'}.", now, actor)
            ring("worker.apps", queue=node_queue(str(lab.node_id)))
    except IntegrityError:
        app = App.objects.get(lab=lab, tool=tool, state__in=App.OPEN)
        if app.folder != folder:
            raise Refused(f"{app.kind.title} runs already, on {app.folder or 'the workspace'}. Stop it first.", code="state") from None
    return app


def app_stop(*, lab: Lab, tool: str, actor: User, now: datetime) -> bool:
    """Wish for its end; False when it has ended or is ending."""
    with transaction.atomic():
        app = App.objects.filter(lab=lab, tool=tool, state__in=App.OPEN, stop=False).first()
        if app is None or not App.objects.filter(pk=app.pk, stop=False).update(stop=True):
            return False
        _told(app, f"{app.kind.title} is stopped.", now, actor)
        ring("worker.apps", queue=node_queue(str(lab.node_id)))
    return True


def app_answers(*, app: App, port: int, now: datetime) -> bool:
    """The worker's fact: it answers on that port. False when it has ended meanwhile."""
    with transaction.atomic():
        if not App.objects.filter(pk=app.pk, state=App.State.STARTING).update(state=App.State.RUNNING, port=port, state_since=now):
            return False
        _told(app, f"{app.kind.title} answers on port {port} of the lab.", now)
    return True


def app_ended(*, app: App, words: str, now: datetime) -> bool:
    """The worker's fact: it is no more; `words` say why, empty when its owner wanted it so. Shares of its port end with it."""
    with transaction.atomic():
        if not App.objects.filter(pk=app.pk, state__in=App.OPEN).update(state=App.State.ENDED, words=words[:LEFT], state_since=now):
            return False
        if app.port and Share.objects.filter(lab=app.lab_id, port=app.port, withdrawn_at=None).update(withdrawn_at=now):
            publish("relay", "share", lab=app.lab_id)
        _told(app, f"{app.kind.title} has ended." + (f" {words}" if words else ""), now)
    return True


def share_create(*, lab: Lab, port: int, name: str, hours: int, actor: User, now: datetime, email: str = "", group: Group | None = None) -> Share:
    """Let a person, or everybody of one of the owner's teams, enter one port of the lab for so long, and nothing else of it.

    Shared again, the time counts from now. Refused to anybody but the owner, with strangers' teams and with oneself.
    """
    if actor.pk != lab.owner_id:
        raise Refused("Only its owner shares what runs in a lab.")
    _running_check(lab)
    if wrong := app_port_check(port):
        raise Refused(wrong, field="port")
    if not 1 <= hours <= MOST_HOURS:
        raise Refused(f"An app is shared for 1 to {MOST_HOURS} hours at a time.", field="hours")
    user = _guest(email, group, actor)
    values = {"name": name.strip()[:60] or f"Port {port}", "shared_at": now, "until": now + timedelta(hours=hours)}
    with transaction.atomic():
        Lab.objects.select_for_update(of=("self",)).get(pk=lab.pk)
        share, _ = Share.objects.update_or_create(lab=lab, port=port, user=user, group=group, withdrawn_at=None, defaults=values)
        words = f"Port {port} ({share.name}) is shared with {share.guest} until {share.until:%F %H:%M} UTC."
        event_record(kind="share.made", subject=lab.subject, words=words, actor=actor, now=now, port=port, guest=share.guest)
        _shares_changed(lab, user)
        if user:
            told = f"{actor} shares {share.name} with you until {share.until:%F %H:%M} UTC. You find it on Home under Shared with me."
            notice_queue(user=user, kind="shared", subject=f"{actor} shares an app with you", words=told, url="/", now=now, until=share.until)
    return share


def share_withdraw(*, lab: Lab, share_id: int, actor: User, now: datetime) -> bool:
    """End a share now; open links of its guests are cut. False when it had ended. Share.DoesNotExist for another lab's."""
    with transaction.atomic():
        share = Share.objects.select_related("user", "group").get(pk=share_id, lab=lab)
        if not Share.objects.filter(pk=share.pk, withdrawn_at=None).update(withdrawn_at=now):
            return False
        words = f"Port {share.port} ({share.name}) is no longer shared with {share.guest}."
        event_record(kind="share.withdrawn", subject=lab.subject, words=words, actor=actor, now=now, port=share.port, guest=share.guest)
        _shares_changed(lab, share.user)
    return True


def _running_check(lab: Lab) -> None:
    if not origins_are_apart():
        raise Refused(ONE_ADDRESS, code="one_address")
    if lab.state != states.RUNNING:
        raise Refused("Its apps can be opened and shared while the lab runs.", code="state")


def _guest(email: str, group: Group | None, actor: User) -> User | None:
    if bool(email) == (group is not None):
        raise Refused("Share with a person or with a team: one of the two.", field="email")
    if group is not None:
        if group.pk not in {team.pk for team in teams_of(user=actor)}:
            raise Refused("Choose one of your own teams.", field="group")
        return None
    user = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
    if user is None:
        raise Refused(NOBODY, field="email")
    if user.pk == actor.pk:
        raise Refused("That is you: your own apps are open to you.", field="email")
    return user


def _shares_changed(lab: Lab, guest: User | None) -> None:
    publish("relay", "share", lab=lab.pk)
    publish(f"lab.{lab.pk}", "share")
    if guest:
        publish(f"person.{guest.pk}", "share", lab=lab.pk)


def _told(app: App, words: str, now: datetime, actor: User | None = None) -> None:
    event_record(kind="app." + app.tool, subject=app.lab.subject, words=words, actor=actor, now=now)
    lab_announce(lab=app.lab)
