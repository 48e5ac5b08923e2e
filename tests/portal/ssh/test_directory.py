"""Keys and names as the records have them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import asyncssh
import pytest

from labs.lifecycle.models import Lab
from labs.lifecycle.tokens import gateway_key, gateway_public_key
from labs.people.models import SshKey, User
from labs.people.services import person_disable, ssh_key_add, ssh_key_remove
from portal.ssh.directory import Records
from portal.ssh.hostkeys import keys_of

pytestmark = pytest.mark.django_db(transaction=True)
ALICES = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPeXAJzX4jZCMZl8zcFMCB+pMHFKIEOgWkf2Vb8kZbTd alice@laptop"
LabOf = Callable[..., Lab]


@pytest.fixture
def key(alice: User, now: datetime) -> SshKey:
    """Alice's key, on her profile."""
    return ssh_key_add(user=alice, name="laptop", text=ALICES, now=now)


@pytest.fixture
def lab(alice: User, lab_of: LabOf) -> Lab:
    """Alice's running lab."""
    made = lab_of(alice, name="resnet")
    Lab.objects.filter(pk=made.pk).update(state="running", ssh_host="127.0.0.1", ssh_port=2222)
    return made


def test_a_key_and_a_name_lead_to_the_owners_own_lab(alice: User, key: SshKey, lab: Lab) -> None:
    for name in ("resnet", lab.pk):
        found = Records().find(key.fingerprint, name)
        assert found is not None and (found.user_id, found.key_id, found.lab_id, found.closed) == (alice.pk, key.pk, lab.pk, "")


def test_an_unknown_key_a_wrong_name_and_another_persons_lab_lead_nowhere(bob: User, key: SshKey, lab: Lab, lab_of: LabOf) -> None:
    bobs = lab_of(bob, name="bobs")
    assert Records().find("SHA256:unknown", "resnet") is None
    for name in ("nothing", "bobs", bobs.pk, ""):
        assert Records().find(key.fingerprint, name) is None


def test_a_name_means_the_live_lab_before_the_newest_ended_one(alice: User, key: SshKey, lab: Lab, lab_of: LabOf) -> None:
    Lab.objects.filter(pk=lab.pk).update(state="stopped")
    found = Records().find(key.fingerprint, "resnet")
    assert found is not None and found.lab_id == lab.pk and "not running" in found.closed and f"/labs/{lab.pk}/" in found.closed
    again = lab_of(alice, name="resnet")
    found = Records().find(key.fingerprint, "resnet")
    assert found is not None and found.lab_id == again.pk and "it is waiting" in found.closed


def test_a_removed_key_and_a_disabled_owner_stand_no_longer(alice: User, root_admin: User, key: SshKey, lab: Lab, now: datetime) -> None:
    records = Records()
    assert records.standing({key.pk, 10**6}) == {key.pk}
    Lab.objects.filter(pk=lab.pk).update(state="running")
    records.touch(key.pk, lab.pk)
    assert SshKey.objects.get(pk=key.pk).last_used_at is not None
    assert Lab.objects.get(pk=lab.pk).entered_at is not None
    person_disable(user=alice, actor=root_admin, now=now)
    assert records.standing({key.pk}) == set() and records.find(key.fingerprint, "resnet") is None
    ssh_key_remove(user=alice, key_id=key.pk, now=now)
    assert records.standing({key.pk}) == set()


def test_the_gateways_keys_are_made_once_and_for_nobody_elses_eyes(tmp_path: Path) -> None:
    folder = tmp_path / "ssh"
    first, again = (keys_of(folder, client_key=gateway_key()) for _ in range(2))
    assert first.host.get_fingerprint() == again.host.get_fingerprint()
    assert [oct((folder / name).stat().st_mode & 0o777) for name in (".", "host_key")] == ["0o700", "0o600"]


def test_the_key_that_labs_take_is_known_before_any_gateway_ran_and_labs_of_before_still_open(tmp_path: Path) -> None:
    folder = tmp_path / "ssh"
    keys = keys_of(folder, client_key=gateway_key())
    assert [key.export_public_key().decode().split()[:2] for key in keys.clients] == [gateway_public_key().split()[:2]]
    former = asyncssh.generate_private_key("ssh-ed25519")
    former.write_private_key(str(folder / "gateway"))
    assert keys_of(folder, client_key=gateway_key()).clients[1].get_fingerprint() == former.get_fingerprint()
