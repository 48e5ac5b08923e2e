"""By which keys the SSH door is known: told by the gateway, shown as long as it is there."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labs.ledger.models import Event
from labs.people.hostkeys import STANDS, host_key_tell, host_keys
from labs.people.keys import BadKey
from labs.people.models import User

pytestmark = pytest.mark.django_db
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPeXAJzX4jZCMZl8zcFMCB+pMHFKIEOgWkf2Vb8kZbTd gpulab"


def test_a_gateways_key_stands_while_it_is_told_and_is_an_event_once(now: datetime) -> None:
    assert host_keys(now=now) == []
    host_key_tell(line=LINE, now=now)
    host_key_tell(line=LINE, now=now + timedelta(hours=6))
    assert [key.public_key for key in host_keys(now=now + STANDS)] == [LINE.rsplit(" ", 1)[0]]
    assert host_keys(now=now + STANDS + timedelta(hours=6)) == []
    assert Event.objects.filter(kind="ssh.host_key").count() == 1
    with pytest.raises(BadKey):
        host_key_tell(line="ssh-ed25519 AAAA", now=now)


def test_people_see_the_fingerprint_beside_their_keys(client: Client, alice: User) -> None:
    client.force_login(alice)
    page = client.get(reverse("account_keys")).content.decode()
    assert "with your administrator" in page
    host_key_tell(line=LINE, now=timezone.now())
    page = client.get(reverse("account_keys")).content.decode()
    assert host_keys(now=timezone.now())[0].fingerprint in page and "with your administrator" not in page
