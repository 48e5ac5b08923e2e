"""Second factors: what they keep out, who must have one, and what is said of a new browser."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from labs.bus.secrets import secret_digest
from labs.lifecycle.models import Lab
from labs.lifecycle.relaying import relay_snapshot
from labs.notices.models import Notice
from labs.people.models import User
from portal.live.access import subscribe
from tests.conftest import PASSWORD
from tests.support.waiting import wait_for

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def enter(user: User, browser: Client | None = None) -> Client:
    """A browser in which this person has given their password twice."""
    browser = browser or Client(headers={"User-Agent": FIREFOX})
    browser.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    browser.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return browser


def code_of(secret: str) -> str:
    """What an app shows now, and for a moment yet."""
    wait_for(lambda: time.time() % 30 < 27, what="a code that is not the next one in a moment")
    return totp.format_hotp_value(totp.hotp_value(secret, next(iter(totp.yield_hotp_counters_from_time()))))


def test_an_app_is_set_up_and_asked_for_from_then_on(alice: User) -> None:
    browser = enter(alice)
    secret = browser.get(reverse("mfa_activate_totp")).context["form"].secret
    assert browser.post(reverse("mfa_activate_totp"), {"code": code_of(secret)}).status_code == 302
    other = Client()
    assert other.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})["Location"] == reverse("mfa_authenticate")
    assert other.get(reverse("home")).status_code == 302
    assert other.post(reverse("mfa_authenticate"), {"code": "000000"}).status_code == 200
    assert other.get(reverse("home")).status_code == 302


def test_a_recovery_code_opens_once(alice: User) -> None:
    totp.TOTP.activate(alice, totp.generate_totp_secret())
    code = RecoveryCodes.activate(alice).get_unused_codes()[0]
    answers = []
    for _ in range(2):
        browser = Client()
        browser.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})
        browser.post(reverse("mfa_authenticate"), {"code": code})
        answers.append(browser.get(reverse("home")).status_code)
    assert answers == [200, 302]


def test_secrets_of_second_factors_are_kept_sealed(alice: User) -> None:
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(alice, secret)
    RecoveryCodes.activate(alice)
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in kept
    assert all(code not in kept for code in Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes())


def test_a_secret_from_before_they_were_sealed_still_opens(alice: User) -> None:
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    found = Authenticator.objects.create(user=alice, type="totp", data={"secret": secret})
    assert found.wrap().validate_code(code_of(secret))


def test_a_factor_is_changed_only_after_the_password_was_given_again(alice: User) -> None:
    browser = Client()
    browser.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    for name in ("mfa_activate_totp", "mfa_add_webauthn", "mfa_generate_recovery_codes"):
        assert browser.get(reverse(name))["Location"].startswith(reverse("account_reauthenticate"))


def test_administrators_are_led_to_a_second_factor_before_anything_else(root_admin: User, alice: User, settings: Any) -> None:
    settings.ADMIN_TWO_FACTOR = True
    browser, hers = enter(root_admin), enter(alice)
    for path in ("/", "/manage/people/", "/admin/", "/account/tokens/"):
        assert browser.get(path)["Location"] == reverse("mfa_index"), path
    assert "need a second factor" in browser.get(reverse("mfa_index")).content.decode()
    assert browser.get("/home/labs/", headers={"HX-Request": "true"})["HX-Redirect"] == reverse("mfa_index")
    assert hers.get("/").status_code == 200
    with pytest.raises(PermissionDenied):
        subscribe(root_admin, "home")
    totp.TOTP.activate(root_admin, totp.generate_totp_secret())
    assert browser.get("/manage/people/").status_code == 200
    assert subscribe(root_admin, "home")


def test_nobody_is_led_there_where_it_is_not_demanded(root_admin: User) -> None:
    assert enter(root_admin).get("/").status_code == 200


def test_a_new_browser_is_told_to_its_owner_and_a_known_one_is_not(alice: User) -> None:
    first = enter(alice)
    assert not Notice.objects.exists()
    first.post(reverse("account_logout"))
    enter(alice, first)
    assert not Notice.objects.exists()
    enter(alice)
    notice = Notice.objects.get(user=alice, kind="sign_in")
    assert "Firefox on Linux" in notice.words
    assert "127.0.0.1" in notice.words


def test_a_forged_cookie_makes_no_browser_known(alice: User, bob: User) -> None:
    enter(alice)
    thief = Client(headers={"User-Agent": FIREFOX})
    thief.cookies["gpulab_known"] = f"[{alice.pk}]"
    enter(alice, thief)
    assert Notice.objects.filter(user=alice, kind="sign_in").count() == 1


def test_one_browser_is_signed_out_from_another_and_nobody_ends_the_session_of_another(alice: User, bob: User, lab_of: Callable[..., Lab]) -> None:
    lab_of(alice)
    here, there, his = enter(alice), enter(alice), enter(bob)
    rows = here.get(reverse("account_sessions")).context["sessions"]
    other = next(row for row in rows if row.session_key != here.session.session_key)
    url = reverse("account_session_end", args=[other.pk])
    assert his.post(url).status_code == 404
    assert there.get("/").status_code == 200
    assert len(relay_snapshot(node_id="local").sessions) == 2
    assert here.post(url).status_code == 302
    assert there.get("/").status_code == 302
    assert here.get("/").status_code == 200
    assert relay_snapshot(node_id="local").sessions == {secret_digest(here.session.session_key or "")}


def test_signing_out_ends_the_passes_that_the_session_made_and_no_others(alice: User, lab_of: Callable[..., Lab]) -> None:
    lab_of(alice)
    laptop, phone = enter(alice), enter(alice)
    laptop.post(reverse("account_logout"))
    assert relay_snapshot(node_id="local").sessions == {secret_digest(phone.session.session_key or "")}


@pytest.mark.parametrize("name", ["mfa_index", "mfa_list_webauthn", "mfa_add_webauthn", "mfa_activate_totp"])
def test_the_pages_of_second_factors_are_the_houses_own(alice: User, name: str) -> None:
    page = enter(alice).get(reverse(name)).content.decode()
    assert 'class="panel"' in page
    assert "<style" not in page


@pytest.mark.parametrize(("name", "words"), [
    ("mfa_view_recovery_codes", "10 of 10 are left"), ("mfa_generate_recovery_codes", "The 10 that you have now are of no use"),
    ("mfa_deactivate_totp", "Switch it off"),
])  # fmt: skip
def test_what_a_second_factor_has_is_shown_and_ended_in_the_houses_words(alice: User, name: str, words: str) -> None:
    browser = enter(alice)
    totp.TOTP.activate(alice, totp.generate_totp_secret())
    codes = RecoveryCodes.activate(alice).get_unused_codes()
    page = browser.get(reverse(name)).content.decode()
    assert words in page
    assert (codes[0] in page) == (name == "mfa_view_recovery_codes")


def test_whoever_is_asked_for_a_second_factor_reads_what_to_type(alice: User) -> None:
    totp.TOTP.activate(alice, totp.generate_totp_secret())
    page = Client().post(reverse("account_login"), {"login": alice.email, "password": PASSWORD}, follow=True).content.decode()
    assert "six digits that your app shows, or one of your recovery codes" in page


def test_somebody_without_a_password_is_led_to_choose_one_in_the_houses_words(alice: User) -> None:
    alice.set_unusable_password()
    alice.save()
    browser = Client()
    browser.force_login(alice)
    page = browser.get(reverse("account_change_password"), follow=True).content.decode()
    assert "You have none yet" in page and "Save the password" in page
