"""Keys and names as the records have them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import asyncssh
import pytest
from django.utils import timezone

from labs.fleet.models import Node
from labs.lifecycle.models import Lab
from labs.lifecycle.moves import lab_assign
from labs.lifecycle.tokens import gateway_key, gateway_public_key
from labs.people.models import SshKey, User
from labs.people.services import person_disable, ssh_key_add, ssh_key_remove
from portal.ssh.directory import Records
from portal.ssh.found import Progress
from portal.ssh.hostkeys import keys_of
from portal.ssh.tunnel import Unreachable

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
    assert found is not None and found.lab_id == lab.pk and "not running" in found.closed and f"/labs/{lab.pk}/" in found.elsewhere
    assert found.comes and found.asks == "Start it again (no GPU, 2 CPU, 4 GiB of memory, 2 hours)?"
    again = lab_of(alice, name="resnet")
    found = Records().find(key.fingerprint, "resnet")
    assert found is not None and found.lab_id == again.pk and "it is waiting" in found.closed
    assert found.comes and not found.asks


def test_a_stopped_lab_is_asked_for_again_once_and_followed(alice: User, key: SshKey, lab: Lab) -> None:
    Lab.objects.filter(pk=lab.pk).update(state="stopped", reason="You stopped it.")
    records = Records()
    found = records.find(key.fingerprint, "resnet")
    assert found is not None and records.progress(found) == Progress("You stopped it.", over=True)
    again, twice = records.start(found), records.start(found)
    assert again == twice and again.lab_id != lab.pk and again.user_id == alice.pk
    made = Lab.objects.get(pk=again.lab_id)
    assert (made.name, made.owner, made.cpus, made.memory_mib, made.hours) == (lab.name, alice, lab.cpus, lab.memory_mib, lab.hours)
    waits = records.progress(again)
    assert not waits.ready and not waits.over and waits.words
    Lab.objects.filter(pk=made.pk).update(state="running", ssh_port=40022)
    assert records.progress(again).ready


def test_what_cannot_be_started_again_is_refused_in_the_words_of_the_rules(alice: User, root_admin: User, key: SshKey, lab: Lab, now: datetime) -> None:
    Lab.objects.filter(pk=lab.pk).update(state="stopped", memory_mib=10**7)
    records = Records()
    found = records.find(key.fingerprint, "resnet")
    assert found is not None
    with pytest.raises(Unreachable, match="limit"):
        records.start(found)
    person_disable(user=alice, actor=root_admin, now=now)
    with pytest.raises(Unreachable, match="disabled"):
        records.start(found)
    assert Lab.objects.count() == 1


def test_what_is_held_for_its_owner_is_taken(alice: User, key: SshKey, lab_of: LabOf, node: Node, now: datetime) -> None:
    lab = lab_of(alice, name="held", ask_first=True)
    lab_assign(lab_id=lab.pk, node_id=node.pk, gpu_uuids=[], now=timezone.now())
    records = Records()
    found = records.find(key.fingerprint, "held")
    assert found is not None and "held for you" in found.closed and found.asks
    assert records.start(found).lab_id == lab.pk
    assert Lab.objects.get(pk=lab.pk).state == "starting"


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
