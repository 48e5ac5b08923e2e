"""A campus's directory for the tests: Debian's slapd under TLS with a certificate of this run's own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ldap3
import pytest

from tests.support.ports import port_free
from tests.support.waiting import wait_for

SLAPD, SCHEMAS, MODULES = "/usr/sbin/slapd", "/etc/ldap/schema", "/usr/lib/ldap"
BASE, ROOT, ROOT_PASSWORD = "dc=example,dc=edu", "cn=admin,dc=example,dc=edu", "the-directorys-own"
CONF = """
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/inetorgperson.schema
pidfile {folder}/slapd.pid
modulepath {modules}
moduleload back_mdb
TLSCACertificateFile {folder}/cert.pem
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
database mdb
maxsize 10485760
suffix "{base}"
rootdn "{root}"
rootpw {password}
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where it answers under TLS from the start and by STARTTLS, and the certificate to trust."""

    ldaps: str
    ldap: str
    ca: str

    def change(self, dn: str, **values: list[str]) -> None:
        """Replace attributes of an entry."""
        with ldap3.Connection(self.ldap, ROOT, ROOT_PASSWORD, auto_bind=True) as connection:
            assert connection.modify(dn, {name: [(ldap3.MODIFY_REPLACE, new)] for name, new in values.items()}), connection.result


@contextmanager
def directory() -> Iterator[Directory]:
    """Serve one, with dora of the group cs-vision and two people of one address."""
    if not Path(SLAPD).exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs slapd")
    folder = Path(tempfile.mkdtemp(prefix="gpulab-slapd-"))
    (folder / "data").mkdir()
    _certificate(folder)
    conf = folder / "slapd.conf"
    conf.write_text(CONF.format(schemas=SCHEMAS, modules=MODULES, folder=folder, base=BASE, root=ROOT, password=ROOT_PASSWORD))
    made = Directory(f"ldaps://localhost:{port_free()}", f"ldap://localhost:{port_free()}", str(folder / "cert.pem"))
    process = subprocess.Popen([SLAPD, "-f", str(conf), "-h", f"{made.ldaps}/ {made.ldap}/", "-d", "0"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(made), within=60, what="slapd answers")
        _fill(made)
        yield made
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _certificate(folder: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")], check=True, capture_output=True)


def _answers(made: Directory) -> bool:
    try:
        return bool(ldap3.Connection(ldap3.Server(made.ldap, connect_timeout=1), ROOT, ROOT_PASSWORD).bind())
    except ldap3.core.exceptions.LDAPException:
        return False


def _fill(made: Directory) -> None:
    with ldap3.Connection(made.ldap, ROOT, ROOT_PASSWORD, auto_bind=True) as connection:
        entries = [(BASE, ["dcObject", "organization"], {"o": "Example", "dc": "example"})]
        people = [("dora", "dora@example.edu"), ("eve", "shared@example.edu"), ("frank", "shared@example.edu")]
        for name, mail in people:
            more = {"sn": name, "mail": mail, "displayName": f"{name.capitalize()} of the directory", "userPassword": f"password-of-{name}"}
            entries.append((f"cn={name},{BASE}", ["inetOrgPerson"], more))
        entries.append((f"cn=cs-vision,{BASE}", ["groupOfNames"], {"member": f"cn=dora,{BASE}"}))
        for dn, classes, values in entries:
            assert connection.add(dn, classes, values), connection.result
