"""Every page that a person can open, by name and by who opens it; for the browser tests and the screenshots."""

from datetime import date, timedelta

from tests.support.served import Served

PASSWORD = "correct-horse-battery-9"
#: What strangers see.
OUTSIDE = {"login": "/accounts/login/", "reset": "/accounts/password/reset/", "signup": "/accounts/signup/", "missing": "/nothing/"}


def outside(served: Served) -> dict[str, str]:
    """Pages without sign-in."""
    return OUTSIDE | {"invitation": f"/invite/{served.invitation}/", "invitation-gone": "/invite/gpi_nothing/"}


def of_person(served: Served) -> dict[str, str]:
    """Pages of alice, who has labs in every state but one."""
    return {
        "home": "/",
        "launch": "/launch/",
        "launch-never": "/launch/?gpus=9",
        "lab-running": f"/labs/{served.labs['resnet-run']}/",
        "lab-waiting": f"/labs/{served.labs['thesis']}/",
        "lab-offered": f"/labs/{served.labs['evening']}/",
        "lab-taken-back": f"/labs/{served.labs['sweep']}/",
        "lab-ended": f"/labs/{served.labs['big-batch']}/",
        "lab-job": f"/labs/{served.labs['train']}/",
        "files": "/files/",
        "jobs": "/jobs/",
        "templates": "/templates/",
        "launch-template": "/launch/?template=gpu-tour",
        "command-line": "/account/command-line/",
        "device": "/account/device/",
        "gpus": "/gpus/",
        "gpus-wall": "/gpus/wall/",
        "gpu": "/gpus/GPU-0a7c4f0e-52b1-4c7e-9d10-5b7d3c1e88f0/",
        "queue": "/queue/",
        "calendar": calendar_address(),
        "calendar-empty": "/calendar/?week=2027-06-01",
        "class": f"/calendar/classes/{served.meeting}/",
        "maintenance": "/calendar/maintenance/",
        "images": "/images/",
        "images-own": "/images/own/",
        "images-making": "/images/making/aaaaaaaaaaa1/",
        "images-failed": "/images/making/aaaaaaaaaaa2/",
        "images-packages": "/images/2/packages/",
        "usage": "/usage/?days=7",
        "quota": "/quota/",
        "workspace": "/workspace/",
        "snapshots": "/workspace/snapshots/",
        "tidy": "/workspace/tidy/",
        "quota-ask": "/quota/ask/?gpus_max=8&hours_max=96",
        "account": "/account/",
        "password": "/accounts/password/change/",
        "two-factor": "/accounts/2fa/",
        "passkeys": "/accounts/2fa/webauthn/",
        "two-factor-activate": "/accounts/2fa/totp/activate/",
        "keys": "/account/keys/",
        "tokens": "/account/tokens/",
        "webhooks": "/account/webhooks/",
        "sessions": "/account/sessions/",
        "notifications": "/account/notifications/",
    }


def calendar_address() -> str:
    """The week in which the furnished house has classes."""
    today = date.today()
    return f"/calendar/?week={today + timedelta(days=7 - today.weekday())}"


def of_newcomer() -> dict[str, str]:
    """What somebody sees who has nothing yet."""
    return {"home-first": "/", "jobs-first": "/jobs/", "usage-first": "/usage/", "workspace-first": "/workspace/"}


def of_administrator(served: Served) -> dict[str, str]:
    """Pages of root."""
    return {
        "manage": "/manage/",
        "templates-of-root": "/templates/",
        "template": "/templates/vision-101/",
        "template-of-a-folder": "/templates/?parcel=1",
        "manage-people": "/manage/people/",
        "manage-person-add": "/manage/people/add/",
        "manage-person": "/manage/people/3/",
        "manage-quotas": "/manage/quotas/?person=3",
        "calendar-of-root": calendar_address(),
        "class-of-root": f"/calendar/classes/{served.meeting}/",
        "reserve": "/calendar/reserve/",
        "series": f"/calendar/series/{served.series}/",
        "maintenance-of-root": "/calendar/maintenance/",
        "quota-requests": "/quota/requests/",
        "quota-request": "/quota/requests/1/",
        "manage-nodes": "/manage/nodes/",
        "manage-labs": "/manage/labs/",
        "manage-images": "/manage/images/",
        "manage-image": "/manage/images/1/",
        "manage-data": "/manage/data/",
        "manage-groups": "/manage/groups/",
        "manage-group-encrypted": "/manage/groups/2/encrypted/",
        "usage-house": "/usage/?of=house&days=7",
        "manage-announcements": "/manage/announcements/",
        "manage-audit": "/manage/audit/",
        "manage-audit-nothing": "/manage/audit/?since=2099-01-01",
        "lab-starting": f"/labs/{served.labs['notebooks']}/",
    }
