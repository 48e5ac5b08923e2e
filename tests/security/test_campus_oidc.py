"""Sign-in by the campus's OpenID Connect provider: who gets in, as whom, and what is not believed."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.urls import reverse

from labs.people.models import User
from labs.people.services import person_disable
from tests.support.idp import CLIENT, SECRET, Provider, provider

pytestmark = pytest.mark.django_db
DORA = {"sub": "4711", "email": "dora@example.edu", "email_verified": True, "name": "Dora Dorn", "groups": ["staff", "cs-vision"]}


@pytest.fixture(scope="module")
def served() -> Iterator[Provider]:
    with provider() as made:
        yield made


@pytest.fixture
def idp(served: Provider, settings: Any) -> Provider:
    """A provider that the house trusts, and that knows dora."""
    served.person, served.signs, served.audience = dict(DORA), None, CLIENT
    settings.OIDC_ISSUER, settings.OIDC_NAME, settings.CAMPUS_ACCOUNTS = served.url, "Example University", True
    app = {"provider_id": "campus", "name": "Example University", "client_id": CLIENT, "secret": SECRET, "settings": {"server_url": served.url}}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": settings.SOCIALACCOUNT_PROVIDERS["openid_connect"] | {"APPS": [app]}}
    return served


def come(idp: Provider, browser: Client | None = None) -> tuple[Client, Any]:
    """The whole way: button, provider, and back; the browser and the last answer."""
    browser = browser or Client()
    away = browser.post(reverse("openid_connect_login", args=["campus"]))
    assert away.status_code == 302, away.content
    query = dict(parse_qsl(urlsplit(away["Location"]).query))
    assert query["code_challenge_method"] == "S256"
    back = urlsplit(idp.agree(query))
    return browser, browser.get(f"{back.path}?{back.query}")


def is_in(browser: Client) -> bool:
    return browser.get(reverse("home")).status_code == 200


def test_the_button_is_there_only_where_a_provider_is_set(client: Client, settings: Any) -> None:
    assert "Continue with" not in client.get(reverse("account_login")).content.decode()
    assert client.post(reverse("openid_connect_login", args=["campus"])).status_code == 404
    settings.OIDC_ISSUER = "https://login.example.edu"
    assert "Continue with your university" in client.get(reverse("account_login")).content.decode()


def test_the_first_sign_in_makes_an_account_where_the_setting_allows_it(idp: Provider) -> None:
    browser, _ = come(idp)
    assert is_in(browser)
    dora = User.objects.get(email="dora@example.edu")
    assert (dora.display_name, dora.role, dora.has_usable_password()) == ("Dora Dorn", "student", False)
    come(idp)
    assert User.objects.filter(email="dora@example.edu").count() == 1


def test_without_the_setting_a_stranger_reads_whom_to_ask(idp: Provider, settings: Any) -> None:
    settings.CAMPUS_ACCOUNTS = False
    browser, answer = come(idp)
    assert answer.status_code == 403
    assert "Ask an administrator for an invitation" in answer.content.decode()
    assert not is_in(browser)
    assert not User.objects.exists()


def test_roles_and_groups_are_those_of_today(idp: Provider, team: Any, settings: Any) -> None:
    settings.CAMPUS_ROLES = {"staff": "researcher", "professors": "teacher"}
    settings.CAMPUS_GROUPS = {"cs-vision": "vision"}
    come(idp)
    dora = User.objects.get(email="dora@example.edu")
    assert (dora.role, list(dora.memberships.values_list("group__slug", flat=True))) == ("researcher", ["vision"])
    idp.person["groups"] = ["staff", "professors"]
    come(idp)
    dora.refresh_from_db()
    assert (dora.role, dora.memberships.count()) == ("teacher", 0)
    idp.person["groups"] = []
    come(idp)
    dora.refresh_from_db()
    assert dora.role == "student"


def test_a_disabled_person_stays_out(idp: Provider, root_admin: User, now: Any) -> None:
    come(idp)
    person_disable(user=User.objects.get(email="dora@example.edu"), actor=root_admin, now=now)
    browser, answer = come(idp)
    assert "disabled" in answer.content.decode()
    assert not is_in(browser)


def test_an_account_here_is_entered_by_a_confirmed_address_alone(idp: Provider, alice: User) -> None:
    idp.person |= {"email": alice.email, "email_verified": False}
    browser, answer = come(idp)
    assert answer.status_code == 403
    assert not is_in(browser)
    idp.person["email_verified"] = True
    browser, _ = come(idp)
    assert browser.session["_auth_user_id"] == str(alice.pk)


def test_a_token_of_another_key_or_for_somebody_else_is_not_believed(idp: Provider) -> None:
    idp.signs = rsa.generate_private_key(65537, 2048)
    assert not is_in(come(idp)[0])
    idp.signs, idp.audience = None, "another-service"
    assert not is_in(come(idp)[0])
    assert not User.objects.exists()


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(idp: Provider) -> None:
    away = Client().post(reverse("openid_connect_login", args=["campus"]))
    back = urlsplit(idp.agree(dict(parse_qsl(urlsplit(away["Location"]).query))))
    victim = Client()
    victim.get(f"{back.path}?{back.query}")
    assert not is_in(victim)


def test_the_policy_of_pages_lets_the_button_lead_to_the_provider(idp: Provider) -> None:
    from portal.pages.security import content_security_policy

    assert content_security_policy().endswith(idp.url)
