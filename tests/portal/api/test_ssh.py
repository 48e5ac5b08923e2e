"""What a program must know for SSH, and keys that another account has."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone

from labs.people.hostkeys import host_key_tell
from labs.people.models import User
from tests.support.callers import Caller

pytestmark = pytest.mark.django_db
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPeXAJzX4jZCMZl8zcFMCB+pMHFKIEOgWkf2Vb8kZbTd"


def test_the_house_tells_by_which_keys_its_ssh_door_is_known(calls: Callable[..., Caller], alice: User) -> None:
    assert calls(alice).get("/house").json()["ssh_host_keys"] == []
    host_key_tell(line=LINE, now=timezone.now())
    assert calls(alice).get("/house").json()["ssh_host_keys"] == [LINE]


def test_a_key_of_another_account_is_added_with_the_proof_that_the_refusal_asks_for(
    calls: Callable[..., Caller], alice: User, bob: User, tmp_path: Path
) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bob@home", "-f", str(key)], check=True)
    wish = {"text": key.with_suffix(".pub").read_text().strip()}
    assert calls(alice).post("/me/keys", wish).status_code == 201
    refused = calls(bob).post("/me/keys", wish)
    assert refused.status_code == 422 and refused.json()["code"] == "proof_needed"
    command = refused.json()["detail"].partition("as the proof: ")[2].replace("~/.ssh/KEY", str(key))
    proof = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout
    made = calls(bob).post("/me/keys", wish | {"proof": proof})
    assert made.status_code == 201 and made.json()["comment"] == "bob@home"
    assert calls(alice).get("/me/keys").json()["items"] == []
