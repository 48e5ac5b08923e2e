"""Browsers of alice, bob, charlie and an administrator, and a stranger without an account."""

import pytest
from django.test import Client

from labs.people.models import User


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def as_alice(alice: User) -> Client:
    """alice's browser."""
    return _signed_in(alice)


@pytest.fixture
def as_bob(bob: User) -> Client:
    """The browser of alice's colleague."""
    return _signed_in(bob)


@pytest.fixture
def as_charlie(charlie: User) -> Client:
    """A stranger's browser."""
    return _signed_in(charlie)


@pytest.fixture
def as_root(root_admin: User) -> Client:
    """An administrator's browser."""
    return _signed_in(root_admin)
