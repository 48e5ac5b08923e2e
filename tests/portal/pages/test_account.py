"""One's own account, and how accounts come to be."""

from datetime import datetime, timedelta

import pytest
from allauth.mfa.totp.internal import auth as totp
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from labs.people.models import ApiToken, Invitation, User
from labs.people.services import invitation_create, reset_link_create
from tests.conftest import PASSWORD

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9Mz1rUzI0bAPTv1sKCPAbH+ZDXbCnZ5MTnXE9qsHHy alice@laptop"
NEW = "another-good-password-7"


def sign_in(client: Client, email: str, password: str) -> int:
    """The status: 302 is in."""
    return client.post(reverse("account_login"), {"login": email, "password": password}).status_code


def test_a_person_signs_in_with_their_address(client: Client, alice: User) -> None:
    assert sign_in(client, "ALICE@example.edu", PASSWORD) == 302
    assert client.get(reverse("home")).status_code == 200


def test_the_sixth_bad_try_is_refused_even_with_the_right_password(client: Client, alice: User) -> None:
    cache.clear()
    assert [sign_in(client, alice.email, "wrong") for _ in range(5)] == [200] * 5
    assert sign_in(client, alice.email, PASSWORD) == 200
    assert client.get(reverse("home")).status_code == 302


def test_a_wrong_password_and_an_unknown_address_look_the_same(client: Client, alice: User) -> None:
    pages = [client.post(reverse("account_login"), {"login": who, "password": "wrong"}) for who in (alice.email, "nobody@example.edu")]
    assert pages[0].context["form"].non_field_errors() == pages[1].context["form"].non_field_errors()


def test_a_name_can_be_changed(as_alice: Client, alice: User) -> None:
    as_alice.post(reverse("account"), {"display_name": "Ada"})
    alice.refresh_from_db()
    assert (alice.display_name, alice.role) == ("Ada", "researcher")


def test_nobody_gives_themselves_a_role(as_bob: Client, bob: User) -> None:
    as_bob.post(reverse("account"), {"display_name": "Bob", "role": "administrator", "is_staff": "1"})
    bob.refresh_from_db()
    assert (bob.role, bob.is_staff) == ("student", False)


def test_a_key_is_added_with_its_fingerprint_and_removed(as_alice: Client, alice: User) -> None:
    page = as_alice.post(reverse("account_keys"), {"text": KEY, "name": ""}, follow=True).content.decode()
    key = alice.ssh_keys.get()
    assert key.fingerprint.startswith("SHA256:")
    assert key.fingerprint in page
    as_alice.post(reverse("account_key_remove", args=[key.pk]))
    assert not alice.ssh_keys.exists()


@pytest.mark.parametrize(
    "text", ["", "hello", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----", KEY + "\n" + KEY, "ключ", "x" * 30_000], ids=lambda text: text[:12]
)
def test_what_is_no_key_is_refused_in_words(as_alice: Client, alice: User, text: str) -> None:
    answer = as_alice.post(reverse("account_keys"), {"text": text})
    assert answer.status_code == 422
    assert answer.context["form"].errors["text"]
    assert not alice.ssh_keys.exists()


def test_a_key_comes_as_its_file_too(as_alice: Client, alice: User) -> None:
    as_alice.post(reverse("account_keys"), {"text": "", "file": SimpleUploadedFile("id.pub", KEY.encode() + b"\n")})
    assert alice.ssh_keys.get().name == "alice@laptop"


@pytest.mark.parametrize(
    "content", [b"-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n", b"\x00\xff", b"x" * 30_000, b" "], ids=lambda content: repr(content[:8])
)
def test_a_file_that_is_no_public_key_is_refused_beside_it_and_not_shown_again(as_alice: Client, alice: User, content: bytes) -> None:
    answer = as_alice.post(reverse("account_keys"), {"text": "", "file": SimpleUploadedFile("id", content)})
    assert answer.status_code == 422 and answer.context["form"].errors["file"] and "c2VjcmV0" not in answer.content.decode()
    assert not alice.ssh_keys.exists()


def test_a_key_of_another_account_is_asked_a_proof_for_with_the_command_to_run(as_alice: Client, as_bob: Client, bob: User) -> None:
    as_alice.post(reverse("account_keys"), {"text": KEY})
    assert "Proof that the key is yours" not in as_bob.get(reverse("account_keys")).content.decode()
    page = as_bob.post(reverse("account_keys"), {"file": SimpleUploadedFile("id.pub", KEY.encode())}).content.decode()
    assert "ssh-keygen -Y sign -n gpulab" in page and "Proof that the key is yours" in page and KEY.split()[1] in page.replace("&#x2B;", "+")
    again = as_bob.post(reverse("account_keys"), {"text": KEY, "proof": "no proof"})
    assert again.status_code == 422 and "no signature of these words" in again.content.decode() and not bob.ssh_keys.exists()


def test_nobody_removes_the_key_of_another(as_alice: Client, as_bob: Client, alice: User) -> None:
    as_alice.post(reverse("account_keys"), {"text": KEY})
    assert as_bob.post(reverse("account_key_remove", args=[alice.ssh_keys.get().pk])).status_code == 404
    assert alice.ssh_keys.count() == 1


def test_an_api_token_is_shown_once(as_alice: Client, alice: User) -> None:
    page = as_alice.post(reverse("account_tokens"), {"name": "script", "scope": "launch", "days": 30}, follow=True).content.decode()
    secret = page.split('id="token-secret">')[1].split("<")[0]
    assert secret.startswith("gpa_")
    assert secret not in as_alice.get(reverse("account_tokens")).content.decode()
    as_alice.post(reverse("account_token_revoke", args=[alice.api_tokens.get().pk]))
    assert alice.api_tokens.get().revoked_at


@pytest.mark.parametrize("bad", [{"scope": "admin"}, {"scope": "root"}, {"days": 0}, {"days": 366}, {"days": "x"}, {"name": ""}], ids=str)
def test_a_bad_token_is_refused(as_alice: Client, bad: dict[str, object]) -> None:
    answer = as_alice.post(reverse("account_tokens"), {"name": "script", "scope": "launch", "days": 30} | bad)
    assert answer.status_code == 422
    assert not ApiToken.objects.exists()


def test_signing_out_elsewhere_ends_the_other_sessions_and_passes(client: Client, alice: User) -> None:
    other = Client()
    for browser in (client, other):
        assert sign_in(browser, alice.email, PASSWORD) == 302
        browser.get(reverse("home"))
    before = alice.passes_not_before
    client.post(reverse("account_sessions"))
    alice.refresh_from_db()
    assert client.get(reverse("home")).status_code == 200
    assert other.get(reverse("home")).status_code == 302
    assert alice.passes_not_before > before


def test_an_invitation_makes_one_account(client: Client, root_admin: User, now: datetime) -> None:
    _, secret = invitation_create(email="ivy@example.edu", role="student", group=None, actor=root_admin, now=now)
    url = reverse("invitation", args=[secret])
    data = {"display_name": "Ivy", "password": NEW, "again": NEW}
    assert "ivy@example.edu" in client.get(url).content.decode()
    assert client.post(url, data)["Location"] == reverse("account_login")
    assert sign_in(client, "ivy@example.edu", NEW) == 302
    assert client.get(url).status_code == 410
    assert client.post(url, data).status_code == 410


@pytest.mark.parametrize(
    "bad", [{"again": "different"}, {"password": "short", "again": "short"}, {"password": "password123", "again": "password123"}, {"display_name": ""}], ids=str
)
def test_a_bad_answer_to_an_invitation_makes_no_account(client: Client, root_admin: User, now: datetime, bad: dict[str, str]) -> None:
    _, secret = invitation_create(email="ivy@example.edu", role="student", group=None, actor=root_admin, now=now)
    assert client.post(reverse("invitation", args=[secret]), {"display_name": "Ivy", "password": NEW, "again": NEW} | bad).status_code == 422
    assert not User.objects.filter(email="ivy@example.edu").exists()


def test_an_old_invitation_is_over(client: Client, root_admin: User, now: datetime) -> None:
    invitation, secret = invitation_create(email="ivy@example.edu", role="student", group=None, actor=root_admin, now=now)
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=now - timedelta(seconds=1))
    assert client.get(reverse("invitation", args=[secret])).status_code == 410


def test_a_handed_out_link_sets_a_new_password_once(client: Client, alice: User, root_admin: User, now: datetime) -> None:
    uid, key = reset_link_create(user=alice, actor=root_admin, now=now)
    url = reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": key})
    form = client.get(url, follow=True)
    assert "Choose a new password" in form.content.decode()
    client.post(form.redirect_chain[-1][0], {"password1": NEW, "password2": NEW})
    assert sign_in(Client(), alice.email, NEW) == 302
    assert "no longer works" in Client().get(url, follow=True).content.decode()


def test_a_password_is_changed_with_the_old_one(as_alice: Client, alice: User) -> None:
    url = reverse("account_change_password")
    assert as_alice.post(url, {"oldpassword": "wrong", "password1": NEW, "password2": NEW}).status_code == 200
    assert as_alice.post(url, {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}).status_code == 302
    assert sign_in(Client(), alice.email, NEW) == 302


def test_a_second_factor_is_asked_for_once_it_is_set_up(client: Client, alice: User) -> None:
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(alice, secret)
    answer = client.post(reverse("account_login"), {"login": alice.email, "password": PASSWORD})
    assert answer["Location"] == reverse("mfa_authenticate")
    assert client.get(reverse("home")).status_code == 302
    assert client.post(reverse("mfa_authenticate"), {"code": "000000"}).status_code == 200
    assert client.get(reverse("home")).status_code == 302
    code = totp.format_hotp_value(totp.hotp_value(secret, next(totp.yield_hotp_counters_from_time())))
    assert client.post(reverse("mfa_authenticate"), {"code": code}).status_code == 302
    assert client.get(reverse("home")).status_code == 200
