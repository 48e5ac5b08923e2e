"""Sign-in by the campus's directory, against Debian's slapd under TLS."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core import checks
from django.test import Client
from django.urls import reverse

from labs.people.models import User
from labs.people.services import person_disable
from portal.checks import campus_is_safe
from tests.conftest import PASSWORD
from tests.support.slapd import BASE, Directory, directory

pytestmark = pytest.mark.django_db
DORA, HERS = "dora@example.edu", "password-of-dora"
BAD = [(DORA, "wrong"), (DORA, ""), ("*", HERS), ("nobody@example.edu", HERS), ("shared@example.edu", "password-of-eve")]


@pytest.fixture(scope="module")
def served() -> Iterator[Directory]:
    with directory() as made:
        yield made


@pytest.fixture
def campus(served: Directory, settings: Any) -> Directory:
    """A directory that the house asks, and accounts made at the first sign-in."""
    settings.LDAP_URL, settings.LDAP_STARTTLS, settings.LDAP_CA = served.ldaps, False, served.ca
    settings.LDAP_BASE, settings.LDAP_GROUPS_BASE, settings.CAMPUS_ACCOUNTS = BASE, BASE, True
    return served


def is_in(email: str, password: str) -> bool:
    """Does this open the house?"""
    browser = Client()
    browser.post(reverse("account_login"), {"login": email, "password": password})
    return browser.get(reverse("home")).status_code == 200


def test_the_directorys_password_opens_and_makes_an_account(campus: Directory) -> None:
    assert is_in(DORA, HERS)
    dora = User.objects.get(email=DORA)
    assert (dora.display_name, dora.role, dora.has_usable_password()) == ("Dora of the directory", "student", False)


def test_starttls_serves_as_well(campus: Directory, settings: Any) -> None:
    settings.LDAP_URL, settings.LDAP_STARTTLS = campus.ldap, True
    assert is_in(DORA, HERS)


@pytest.mark.parametrize(("email", "password"), BAD)
def test_what_does_not_fit_opens_nothing(campus: Directory, email: str, password: str) -> None:
    assert not is_in(email, password)
    assert not User.objects.exists()


def test_an_empty_password_is_not_even_asked_for(campus: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    from portal.campus import directory as door

    monkeypatch.setattr(door, "_visitor", lambda *_: pytest.fail("the directory was asked"))
    assert door.DirectoryBackend().authenticate(None, email=DORA, password="") is None


def test_an_address_is_no_piece_of_a_filter(campus: Directory) -> None:
    from portal.campus.directory import DirectoryBackend

    assert DirectoryBackend().authenticate(None, email="d*", password=HERS) is None
    assert DirectoryBackend().authenticate(None, email="x)(cn=dora", password=HERS) is None


def test_groups_of_the_directory_give_roles_and_groups_here(campus: Directory, team: Any, settings: Any) -> None:
    settings.CAMPUS_ROLES, settings.CAMPUS_GROUPS = {"cs-vision": "researcher"}, {"cs-vision": "vision"}
    assert is_in(DORA, HERS)
    dora = User.objects.get(email=DORA)
    assert (dora.role, list(dora.memberships.values_list("group__slug", flat=True))) == ("researcher", ["vision"])


def test_a_disabled_person_and_a_stranger_without_the_setting_stay_out(campus: Directory, root_admin: User, settings: Any, now: Any) -> None:
    settings.CAMPUS_ACCOUNTS = False
    assert not is_in(DORA, HERS)
    settings.CAMPUS_ACCOUNTS = True
    assert is_in(DORA, HERS)
    person_disable(user=User.objects.get(email=DORA), actor=root_admin, now=now)
    assert not is_in(DORA, HERS)


def test_a_directory_with_another_certificate_is_not_believed(campus: Directory, settings: Any) -> None:
    settings.LDAP_CA = ""
    assert not is_in(DORA, HERS)


def test_a_directory_that_is_away_keeps_nobody_else_out(campus: Directory, settings: Any, alice: User) -> None:
    settings.LDAP_URL = "ldaps://localhost:1"
    assert is_in(alice.email, PASSWORD)
    assert not is_in(DORA, HERS)


def test_production_takes_no_directory_without_tls_and_no_provider_without_https(settings: Any) -> None:
    settings.PRODUCTION, settings.LDAP_URL, settings.LDAP_STARTTLS, settings.OIDC_ISSUER = True, "ldap://ldap.example.edu", False, "http://login.example.edu"
    found = {one.id for one in campus_is_safe() if isinstance(one, checks.Error)}
    assert found == {"gpulab.E010", "gpulab.E011"}
