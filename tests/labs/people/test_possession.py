"""A key that somebody else has moves to whoever signs with it, by OpenSSH's own `ssh-keygen -Y sign`."""

import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from labs.ledger.models import Event
from labs.people.errors import Refused
from labs.people.models import User
from labs.people.possession import NAMESPACE, is_proved
from labs.people.services import ssh_key_add

pytestmark = pytest.mark.django_db
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A private key by ssh-keygen; its public half beside it."""

    def made(name: str, kind: str = "ed25519") -> Path:
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(tmp_path / name)], check=True)
        return tmp_path / name

    return made


def _public(key: Path) -> str:
    return key.with_suffix(".pub").read_text()


def _asked(user: User, key: Path, now: datetime) -> str:
    """The command that the refusal tells."""
    with pytest.raises(Refused) as refused:
        ssh_key_add(user=user, name="", text=_public(key), now=now)
    assert (refused.value.field, refused.value.code) == ("proof", "proof_needed")
    return refused.value.words.partition("as the proof: ")[2]


def _run(command: str, key: Path) -> str:
    """As a person runs it in their shell."""
    return subprocess.run(["bash", "-c", command.replace("~/.ssh/KEY", str(key))], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_who_signs_gets_the_key_and_who_only_pasted_it_loses_it(alice: User, bob: User, make: Make, now: datetime, kind: str) -> None:
    key = make("bobs", kind)
    pasted = ssh_key_add(user=alice, name="not mine", text=_public(key), now=now)
    proof = _run(_asked(bob, key, now), key)
    made = ssh_key_add(user=bob, name="", text=_public(key), now=now + timedelta(minutes=50), proof=proof)
    assert made.user == bob and made.comment == "bobs" and made.fingerprint == pasted.fingerprint and not alice.ssh_keys.exists()
    assert Event.objects.filter(kind="key.moved", subject=f"person:{alice.pk}").exists()


def test_a_signature_counts_for_its_signer_its_key_its_words_and_its_time_only(alice: User, bob: User, charlie: User, make: Make, now: datetime) -> None:
    key, other = make("bobs"), make("another")
    ssh_key_add(user=alice, name="", text=_public(key), now=now)
    command = _asked(bob, key, now)
    proof = _run(command, key)
    wrong = (
        _run(command, other),
        _run(command.replace(f"-n {NAMESPACE}", "-n file"), key),
        _run("echo hello | ssh-keygen -Y sign -n gpulab -f ~/.ssh/KEY", key),
    )
    for text in (*wrong, "nonsense", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----", "x" * 100_000, "é", proof[:60]):
        with pytest.raises(Refused, match="no signature of these words"):
            ssh_key_add(user=bob, name="", text=_public(key), now=now, proof=text)
    for user, moment in ((charlie, now), (bob, now + timedelta(hours=3))):
        with pytest.raises(Refused, match="no signature"):
            ssh_key_add(user=user, name="", text=_public(key), now=moment, proof=proof)
    assert alice.ssh_keys.count() == 1


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \r\n"], ids=repr)
def test_every_shells_end_of_the_words_is_taken(alice: User, bob: User, make: Make, now: datetime, end: str) -> None:
    key = make("bobs")
    held = ssh_key_add(user=alice, name="", text=_public(key), now=now)
    words = _asked(bob, key, now).split()[1]
    signed = subprocess.run(["ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", key], input=f"{words}{end}".encode(), check=True, capture_output=True)
    assert is_proved(user_id=bob.pk, line=held.public_key, fingerprint=held.fingerprint, signature=signed.stdout.decode(), now=now)
