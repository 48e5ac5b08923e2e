"""What the furnished house shares and announces: apps in a running lab, ports for guests, a word from an administrator."""

from datetime import datetime, timedelta

from labs.announcements.services import announcement_make
from labs.lifecycle.models import Lab
from labs.people.models import Group, User
from labs.sharing.services import app_answers, app_ended, app_start, share_create


def shared_furnish(*, root: User, mine: Lab, guest: User, team: Group, now: datetime) -> None:
    """TensorBoard in `mine`, shared with the team; a port of it shared with the guest."""
    board = app_start(lab=mine, tool="tensorboard", folder="runs/resnet", actor=mine.owner, now=now)
    app_answers(app=board, port=40213, now=now)
    editor = app_start(lab=mine, tool="vscode", folder="", actor=mine.owner, now=now)
    app_ended(app=editor, words=editor.kind.missing, now=now)
    share_create(lab=mine, port=40213, name="Losses of the long run", hours=24, group=team, actor=mine.owner, now=now)
    share_create(lab=mine, port=7860, name="Demo of the detector", hours=8, email=guest.email, actor=mine.owner, now=now)
    words = "gpu01 is closed on Friday from 18:00 to 20:00 for new drivers. Labs that run then are ended; files stay."
    announcement_make(words=words, tone="warning", until=now + timedelta(days=3), actor=root, now=now, to_terminals=True)
