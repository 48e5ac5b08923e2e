"""A host joins once, with a token, over the API; and what it gets is of the house's authority."""

import ssl
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from django.test import Client

from labs.enrolment.authority import NODE, BadRequest, authority_new, key_new, request_new, request_sign
from labs.enrolment.broker import user_drop, users_known
from labs.enrolment.models import Credential, JoinToken
from labs.enrolment.queries import joining_refused
from labs.enrolment.services import credentials_keep, front_files, join_token_create, node_give_up, node_join
from labs.fleet.models import Node
from labs.fleet.services import node_report
from labs.people.errors import Refused
from tools.node.place import environment_keep, environment_read


def test_a_certificate_is_under_the_name_that_the_house_gives(now):
    certificate, key = authority_new(now=now)
    made = x509.load_pem_x509_certificate(
        request_sign(request=request_new(key=key_new()), organisation=NODE, name="n2", certificate=certificate, key=key, now=now).encode()
    )
    assert made.subject.rfc4514_string() == "CN=n2,O=gpulab-node"
    assert made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["n2.node.gpulab"]
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(certificate.encode()))


@pytest.mark.parametrize("request_pem", ["", "-----BEGIN CERTIFICATE REQUEST-----\nxx\n-----END CERTIFICATE REQUEST-----"])
def test_what_is_no_request_is_refused_in_words(request_pem, now):
    certificate, key = authority_new(now=now)
    with pytest.raises(BadRequest, match="no request"):
        request_sign(request=request_pem, organisation=NODE, name="n2", certificate=certificate, key=key, now=now)


@pytest.mark.django_db
def test_the_fronts_files_are_made_once_and_are_good(tmp_path, now):
    files = front_files(folder=tmp_path / "relay", now=now)
    assert front_files(folder=tmp_path / "relay", now=now + timedelta(days=1)) == files
    context = ssl.create_default_context(cafile=str(files[2]))
    context.load_cert_chain(str(files[0]), str(files[1]))
    assert oct(files[1].stat().st_mode)[-3:] == "600"


def test_settings_are_kept_for_their_owner_alone(tmp_path):
    path = environment_keep(tmp_path / "place", {"GPULAB_NODE": "n2", "GPULAB_DATABASE_URL": "postgres://a:b@c/d?sslmode=require"})
    assert oct(path.stat().st_mode)[-3:] == "600"
    assert environment_read(tmp_path / "place")["GPULAB_DATABASE_URL"] == "postgres://a:b@c/d?sslmode=require"


def test_the_program_takes_no_token_to_a_house_in_the_clear(tmp_path):
    asked = [sys.executable, "-m", "tools.node", "--place", str(tmp_path), "join", "http://gpulab.example.edu", "gpn_x"]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert ran.returncode == 1 and "https only" in ran.stderr and not list(tmp_path.iterdir())


@pytest.mark.django_db
def test_joining_in_the_clear_is_refused_in_production(settings, open_house):
    assert not joining_refused()
    settings.PRODUCTION = True
    settings.NODES_DATABASE_URL = "postgres://db.example.edu/gpulab"
    assert "in the clear" in joining_refused()
    settings.NODES_DATABASE_URL += "?sslmode=verify-full"
    assert not joining_refused(), "the broker of this test is on loopback"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_host_joins_once_and_is_known_until_it_is_given_up(open_house, node, root_admin, now, request_pem, client: Client):
    _, secret = join_token_create(node_id="n2", actor=root_admin, now=now)
    wish = {"token": secret, "request": request_pem, "relay_address": "198.18.0.2:7443"}
    bad = client.post("/api/v1/nodes/join", wish | {"request": "x" * 60}, content_type="application/json")
    assert bad.status_code == 422 and JoinToken.objects.get().used_at is None, "a join that failed uses up no token"
    answer = client.post("/api/v1/nodes/join", wish, content_type="application/json")
    assert answer.status_code == 201
    given = answer.json()
    assert "GPULAB_SECRET_KEY" not in given["settings"] and given["settings"]["GPULAB_JOINED"] == "yes"
    row = Node.objects.get(pk="n2")
    assert (row.state, row.relay_address) == ("unknown", "198.18.0.2:7443")
    again = client.post("/api/v1/nodes/join", wish, content_type="application/json")
    assert again.status_code == 422 and "not good any more" in again.content.decode()
    with pytest.raises(Refused, match="already"):
        join_token_create(node_id="n2", actor=root_admin, now=now)
    _forgetting_broker_is_told_again()
    _given_up(row, root_admin, now, request_pem)


def _forgetting_broker_is_told_again() -> None:
    role = Credential.objects.get().role
    user_drop(user=role)
    assert credentials_keep() == 1 and users_known(users=[role]) == {role}
    assert credentials_keep() == 0


def _given_up(row: Node, root_admin: Any, now: Any, request_pem: str) -> None:
    """And it may join again, as the same node with another account."""
    before = Credential.objects.get().role
    node_report(node_id="n2", now=now)
    assert Node.objects.get(pk="n2").state == "ready"
    Node.objects.filter(pk="n2").update(state="unknown")
    node_give_up(node=row, actor=root_admin, now=now)
    assert Credential.objects.get().revoked_at == now and not users_known(users=[before])
    _, secret = join_token_create(node_id="n2", actor=root_admin, now=now)
    node_join(secret=secret, request=request_pem, relay_address="", now=now)
    assert Credential.objects.get().role != before
    Node.objects.filter(pk="n2").update(state="unknown")
    node_give_up(node=Node.objects.get(pk="n2"), actor=root_admin, now=now)


@pytest.mark.postgres
@pytest.mark.django_db
def test_a_token_is_good_for_an_hour(open_house, root_admin, now, request_pem):
    _, secret = join_token_create(node_id="n2", actor=root_admin, now=now)
    with pytest.raises(Refused, match="not good any more"):
        node_join(secret=secret, request=request_pem, relay_address="", now=now + timedelta(minutes=60))
    _, newer = join_token_create(node_id="n2", actor=root_admin, now=now)
    with pytest.raises(Refused, match="not good any more"):
        node_join(secret=secret, request=request_pem, relay_address="", now=now)
    with pytest.raises(Refused, match="host:port"):
        node_join(secret=newer, request=request_pem, relay_address="a b", now=now)
