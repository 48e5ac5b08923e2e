"""What holds for every page."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse

from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.people.models import User

VENDOR = settings.BASE_DIR / "portal/static/vendor"
#: Mail has no style sheet, so what is said of pages does not hold for it.
TEMPLATES = sorted(path for path in (settings.BASE_DIR / "templates").rglob("*.html") if path.name != "mail.html")
ICON = re.compile(r'{% icon "([a-z0-9-]+)"')

#: SQL statements that each page may take with three labs of alice's; a page that takes fewer lowers its number here.
STATEMENTS = {
    "home": 33, "launch": 47, "queue": 38, "images": 12, "account": 16, "account_keys": 5, "account_tokens": 4, "manage": 16, "manage_people": 20,
    "manage_quotas": 32, "manage_nodes": 10, "manage_labs": 5, "manage_images": 7, "manage_groups": 6, "manage_data": 7, "manage_audit": 5,
}  # fmt: skip


def test_what_others_wrote_is_what_was_checked() -> None:
    listed = dict(reversed(line.split("  ./")) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    there = {str(path.relative_to(VENDOR)) for path in VENDOR.rglob("*") if path.is_file()} - {"SHA256SUMS", "README.md"}
    assert there == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_every_folder_of_others_has_its_licence() -> None:
    assert all((folder / "LICENSE").read_text() for folder in VENDOR.iterdir() if folder.is_dir())


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.name))
def test_a_template_has_nothing_inline_and_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\s(?:src=|type='application/json'))|javascript:", text.replace('"', "'"))
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)
    assert "|safe" not in text


def test_every_icon_is_in_the_sprite() -> None:
    sprite = (VENDOR / "icons/icons.svg").read_text()
    used = {name for path in TEMPLATES for name in ICON.findall(path.read_text())}
    assert {name for name in used if f'id="{name}"' not in sprite} == set()


@pytest.mark.django_db
def test_the_content_policy_allows_nothing_inline(client: Client) -> None:
    policy = client.get(reverse("account_login"))["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://*.localhost:" in policy


def test_passwords_are_hashed_at_19_mib_in_two_passes() -> None:
    with override_settings(PASSWORD_HASHERS=["portal.hashers.Argon2"]):
        assert make_password("x").startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_simulated_card_is_said_aloud_on_every_page(as_alice: Client, node: Node) -> None:
    assert "SIMULATED" not in as_alice.get(reverse("home")).content.decode()
    Node.objects.update(probe_kind="simulated")
    assert "SIMULATED" in as_alice.get(reverse("account")).content.decode()


def test_labs_that_are_not_isolated_are_said_aloud_on_every_page(as_alice: Client, node: Node) -> None:
    Node.objects.update(isolates=False)
    assert "not isolated from each other" in as_alice.get(reverse("queue")).content.decode()


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_page_takes_no_more_statements_than_it_did(as_root: Client, alice: User, lab_of: Callable[..., Lab], name: str) -> None:
    for count in range(3):
        lab_of(alice, gpus=1, name=f"n{count}")
    as_root.get(reverse(name))
    with CaptureQueriesContext(connection) as taken:
        as_root.get(reverse(name))
    assert len(taken) <= STATEMENTS[name], f"{name} takes {len(taken)}"


def test_home_takes_the_same_statements_for_one_lab_as_for_four(as_alice: Client, alice: User, lab_of: Callable[..., Lab]) -> None:
    lab_of(alice, gpus=1)
    as_alice.get(reverse("home"))
    with CaptureQueriesContext(connection) as one:
        as_alice.get(reverse("home"))
    for _ in range(3):
        lab_of(alice, gpus=1)
    with CaptureQueriesContext(connection) as four:
        as_alice.get(reverse("home"))
    assert len(four) == len(one)


def test_a_form_without_its_token_changes_nothing_and_is_told_in_words(alice: User, node: Node) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = browser.post(reverse("launch"), {"image": 1, "gpus": 0, "cpus": 1, "memory_gib": 1, "hours": 1})
    assert answer.status_code == 403
    assert "That form was too old" in answer.content.decode()
    assert not Lab.objects.exists()
