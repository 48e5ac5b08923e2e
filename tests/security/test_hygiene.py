"""Small promises that hold for every sign-in, session, answer and secret (docs/security/asvs.csv names them)."""

import base64
import logging
import re
import statistics
import time
import zlib
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal import auth as totp
from allauth.socialaccount.models import SocialToken
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labs.bus.secrets import seal, secret_new, unseal
from labs.ledger.models import Event
from labs.people.keys import BadKey, parse_public_key
from labs.people.models import ApiToken, User
from labs.people.services import person_update, reset_link_create, token_create
from portal.discretion import Discreet
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"


def sign_in(email: str, password: str, browser: Client | None = None, **more: Any) -> Client:
    browser = browser or Client()
    browser.post(LOGIN, {"login": email, "password": password}, **more)
    return browser


def is_in(browser: Client) -> bool:
    return browser.get(reverse("home")).status_code == 200


@pytest.mark.parametrize("path", [LOGIN, "/", "/nothing/", "/api/v1/me", "/api/v1/openapi.json", "/healthz", "/account/"])
def test_every_answer_carries_the_headers_of_safety(path: str) -> None:
    answer = Client().get(path)
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert (answer["X-Content-Type-Options"], answer["Referrer-Policy"], answer["X-Frame-Options"]) == ("nosniff", "same-origin", "DENY")
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    if answer.content:
        assert answer["Content-Type"]


def test_cookies_are_lax_and_out_of_reach_of_scripts(alice: User) -> None:
    browser = Client()
    browser.get(LOGIN)
    sign_in(alice.email, PASSWORD, browser)
    for name in (settings.SESSION_COOKIE_NAME, "gpulab_known"):
        assert (browser.cookies[name]["samesite"], browser.cookies[name]["httponly"]) == ("Lax", True)
    assert browser.cookies[settings.CSRF_COOKIE_NAME]["samesite"] == "Lax"


def test_a_long_password_of_any_signs_is_taken_as_it_is(alice: User) -> None:
    strange = "  Größe ж 猫 " + "x" * 80 + "  "
    browser = sign_in(alice.email, PASSWORD)
    assert browser.post(reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": strange, "password2": strange}).status_code == 302
    assert is_in(sign_in(alice.email, strange))
    assert not is_in(sign_in(alice.email, strange.strip()))
    assert not is_in(sign_in(alice.email, strange[:72]))


@pytest.mark.parametrize("password", ["gpulab12345", "JupyterPyTorch1", "testserver99"])
def test_a_password_of_the_houses_own_words_is_refused(alice: User, password: str) -> None:
    browser = sign_in(alice.email, PASSWORD)
    answer = browser.post(reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": password, "password2": password})
    assert "everybody would try first" in answer.content.decode()


def test_the_form_of_sign_in_hides_passwords_and_helps_managers(client: Client) -> None:
    page = client.get(LOGIN).content.decode()
    field = re.search(r'<input[^>]*name="password"[^>]*>', page)
    assert field
    assert 'type="password"' in field[0]
    assert 'autocomplete="current-password"' in field[0]


def test_no_account_is_there_by_default() -> None:
    assert not get_user_model().objects.exists()


def test_a_sign_in_makes_a_new_session(alice: User) -> None:
    browser = Client()
    browser.get(LOGIN)
    sign_in(alice.email, PASSWORD, browser)
    first = browser.session.session_key
    sign_in(alice.email, PASSWORD, other := Client())
    assert first
    assert first != other.session.session_key
    browser.post(reverse("account_logout"))
    stolen = Client()
    stolen.cookies[settings.SESSION_COOKIE_NAME] = first
    assert not is_in(stolen)


def test_what_a_session_holds_is_not_to_be_read_in_its_column(alice: User) -> None:
    browser = sign_in(alice.email, PASSWORD)
    session = browser.session
    session["shown-once"] = "gpa_a-secret-of-alices"
    session.save()
    row = Session.objects.get(pk=session.session_key)
    assert b"gpa_a-secret" not in unpacked(row.session_data)
    assert browser.session["shown-once"] == "gpa_a-secret-of-alices"


def unpacked(data: str) -> bytes:
    """What anybody makes of a session's column without a secret: Django's form is base64, packed or not."""
    payload = data.split(":")[0]
    raw = base64.urlsafe_b64decode(payload.removeprefix(".") + "=" * (-len(payload.removeprefix(".")) % 4))
    return zlib.decompress(raw) if payload.startswith(".") else raw


def test_a_session_ends_after_eight_hours(alice: User) -> None:
    session = sign_in(alice.email, PASSWORD).session
    assert session.get_expiry_age() <= 8 * 3600
    assert session.get_expiry_date() <= timezone.now() + timedelta(hours=8)


def test_signing_out_is_on_every_page_and_clears_what_the_browser_kept(alice: User) -> None:
    browser = sign_in(alice.email, PASSWORD)
    for name in ("home", "launch", "gpus", "queue", "images", "usage", "account", "quota"):
        assert f'action="{reverse("account_logout")}"' in browser.get(reverse(name)).content.decode()
    assert browser.post(reverse("account_logout"))["Clear-Site-Data"] == '"cache"'


def test_a_reset_password_still_wants_the_second_factor(alice: User, root_admin: User, now: Any) -> None:
    totp.TOTP.activate(alice, totp.generate_totp_secret())
    uid, key = reset_link_create(user=alice, actor=root_admin, now=now)
    browser = Client()
    form = browser.get(reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": key}), follow=True)
    browser.post(form.redirect_chain[-1][0], {"password1": "another-good-one-7", "password2": "another-good-one-7"})
    assert not is_in(browser)
    assert Client().post(LOGIN, {"login": alice.email, "password": "another-good-one-7"})["Location"] == reverse("mfa_authenticate")


def test_a_link_to_the_campus_signs_nobody_in(client: Client) -> None:
    assert client.get("/accounts/oidc/campus/login/").status_code == 405


def test_tokens_of_the_provider_are_not_kept() -> None:
    assert settings.SOCIALACCOUNT_STORE_TOKENS is False
    assert not SocialToken.objects.exists()


def test_trace_is_not_answered(client: Client) -> None:
    assert client.trace(LOGIN).status_code == 405


def test_debugging_is_off_and_cannot_be_switched_on() -> None:
    assert "DEBUG = False" in (settings.BASE_DIR / "portal/settings.py").read_text()


def test_secrets_are_long_random_and_kept_as_digests(alice: User, now: Any) -> None:
    _, secret = token_create(user=alice, name="script", scope="read", now=now)
    assert len(secret.removeprefix("gpa_")) >= 43
    assert secret not in str(ApiToken.objects.values_list())
    assert len({secret_new("") for _ in range(1000)}) == 1000


def test_what_was_sealed_for_one_purpose_opens_for_no_other() -> None:
    sealed = seal("one", "a secret")
    assert unseal("one", sealed) == "a secret"
    assert unseal("another", sealed) is None
    assert unseal("one", sealed[:-2] + "xx") is None


def test_short_rsa_keys_are_refused_with_what_to_do() -> None:
    key = rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    with pytest.raises(BadKey, match="3072"):
        parse_public_key(key)


def test_what_is_changed_is_an_event_with_who_and_when(alice: User, root_admin: User, now: Any) -> None:
    person_update(user=alice, display_name="Ada", role="teacher", actor=root_admin, now=now)
    event = Event.objects.filter(kind="person.changed").latest("pk")
    assert (event.actor_id, event.at, event.subject) == (root_admin.pk, now, f"person:{alice.pk}")


def test_sign_ins_and_failed_tries_are_events(alice: User) -> None:
    sign_in(alice.email, "wrong")
    sign_in(alice.email, PASSWORD).post(reverse("account_logout"))
    found = list(Event.objects.filter(subject=f"person:{alice.pk}", kind__startswith="person.sign_").order_by("pk").values_list("kind", flat=True))
    assert found == ["person.sign_failed", "person.sign_in", "person.sign_out"]
    assert Event.objects.filter(kind="person.sign_in").latest("pk").fact["address"] == "127.0.0.1"


def test_a_failed_try_for_nobody_keeps_nothing_of_what_was_typed(caplog: pytest.LogCaptureFixture) -> None:
    sign_in("my-password-typed-into-the-wrong-field@example.edu", "wrong")
    assert "my-password-typed" not in caplog.text + str(list(Event.objects.values_list()))


def test_a_refused_page_is_in_the_log(alice: User, caplog: pytest.LogCaptureFixture) -> None:
    sign_in(alice.email, PASSWORD).get("/manage/")
    assert "Forbidden" in caplog.text


def test_what_people_type_makes_no_line_of_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.get("/nothing%0a2026-01-01 INFO forged: a line/")
    assert "\n" not in "".join(record.getMessage() for record in caplog.records if "nothing" in record.getMessage())


def test_an_address_that_tries_many_accounts_is_slowed(db: None) -> None:
    cache.clear()
    for number in range(50):
        sign_in(f"nobody{number}@example.edu", "wrong")
    page = Client().post(LOGIN, {"login": "somebody@example.edu", "password": "wrong"})
    assert page.status_code == 429 or "Too many" in page.content.decode()


def test_an_account_that_is_there_and_one_that_is_not_answer_in_the_same_time(alice: User, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["portal.hashers.Argon2"]
    alice.set_password(PASSWORD)
    alice.save()
    took: dict[str, list[float]] = {alice.email: [], "nobody@example.edu": []}
    for _ in range(9):
        for email, times in took.items():
            cache.clear()
            start = time.perf_counter()
            sign_in(email, "wrong")
            times.append(time.perf_counter() - start)
    there, absent = (statistics.median(times) for times in took.values())
    assert 0.5 < there / absent < 2, f"{there:.3f} s where there is an account, {absent:.3f} s where there is none"


def test_links_that_open_something_by_themselves_are_not_in_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    invitation = secret_new("gpi_")
    client.get(f"/invite/{invitation}/")
    assert "/invite/…" in caplog.text and invitation not in caplog.text


@pytest.mark.parametrize("secret", ["/accounts/password/reset/key/2-cabcde-0123456789abcdef/", "Bearer gpa_0123456789abcdef", "/x?key=gpj_0123456789abcdef"])
def test_no_line_of_a_refusal_shows_a_secret(secret: str) -> None:
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Not Found: %s", (secret,), None)
    assert Discreet().filter(record)
    assert "0123456789abcdef" not in record.getMessage() and "Not Found" in record.getMessage()
