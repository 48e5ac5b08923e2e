"""Signing in by a code that is approved in a browser, and out again."""

import re
import stat
import subprocess
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labs.people.models import ApiToken, DeviceLogin
from tests.cli.conftest import Program
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_code_approved_in_the_browser_signs_the_terminal_in_and_out(program: Program, alice: Any, client: Client) -> None:
    terminal = subprocess.Popen(program.command("login", program.url), env=program.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    row = wait_for(lambda: DeviceLogin.objects.first(), within=90, what="the program asks")
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get(reverse("device"), {"code": row.shown}).content.decode()
    assert row.client in page and row.shown in page
    assert not DeviceLogin.objects.filter(approved=True).exists(), "an address alone approves nothing"
    assert client.post(reverse("device"), {"code": row.shown.lower().replace("-", " "), "answer": "yes"}).status_code == 302
    out, words = terminal.communicate(timeout=120)
    assert terminal.returncode == 0, words
    assert alice.email in out and row.shown in words
    kept = program.home / ".config/gpulab/account.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert ApiToken.objects.get(user=alice).scope == "launch"
    assert program.json("whoami")["email"] == alice.email
    assert "no lab" in program("ls")
    assert not re.search(r"gpa_[\w-]+", out + words), "the token is never printed"
    program("logout")
    assert ApiToken.objects.get(user=alice).revoked_at is not None and not kept.exists()
    assert "not signed in" in program("ls", expect=3)


def test_a_refused_code_signs_nobody_in(program: Program, alice: Any, client: Client) -> None:
    terminal = subprocess.Popen(program.command("login", program.url), env=program.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    row = wait_for(lambda: DeviceLogin.objects.first(), within=90, what="the program asks")
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    client.post(reverse("device"), {"code": row.shown, "answer": "no"})
    _, words = terminal.communicate(timeout=120)
    assert terminal.returncode == 1 and "refused" in words
    assert not ApiToken.objects.exists()


def test_a_token_is_sent_over_https_only(program: Program) -> None:
    assert "https" in program("login", "http://gpu.example.edu", expect=2)


def test_a_portal_that_is_away_says_so(program: Program) -> None:
    assert "does not answer" in program("login", "http://localhost:1", expect=5)
