"""Sign-in by the campus's directory (LDAP): the address finds the entry, and the entry's own password opens it."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils import timezone
from ldap3 import AUTO_BIND_NONE, NONE, SIMPLE, Connection, Entry, Server, Tls
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars

from labs.people.campus import Visitor, names_of
from labs.people.errors import Refused
from labs.people.models import User
from labs.people.visiting import visitor_enter
from portal.campus.reading import reading

log = logging.getLogger(__name__)
PATIENCE_S = 5
NEEDED = ["mail", "cn", "displayName", "memberOf"]


class DirectoryBackend(ModelBackend):
    """Asked after the house's own passwords. With the directory away nobody is let in by it, and the others still are."""

    def authenticate(self, request: HttpRequest | None, email: str = "", password: str = "", **_: object) -> User | None:  # type: ignore[override]
        """The account of whoever the directory knows by this address and password; None for everybody else."""
        if not settings.LDAP_URL or not email or not password:  # a directory takes an empty password for "nobody in particular" and says yes
            return None
        try:
            visitor = _visitor(email, password)
        except (LDAPException, OSError) as error:
            log.warning("The directory could not be asked: %s", type(error).__name__)
            return None
        return _entered(visitor) if visitor else None


def _entered(visitor: Visitor) -> User | None:
    try:
        return visitor_enter(visitor=visitor, reading=reading(), now=timezone.now())
    except Refused as refusal:
        log.info("Somebody of the directory was refused: %s", refusal.words)
        return None


def _visitor(email: str, password: str) -> Visitor | None:
    """Who that is, once their own password has opened their entry."""
    with _connected(settings.LDAP_USER, settings.LDAP_PASSWORD) as connection:
        entry = _entry(connection, email)
        if entry is None or not _opens(entry.entry_dn, password):
            return None
        return Visitor(str(entry.mail.value or email).lower(), str(entry.displayName.value or entry.cn.value or "")[:100], _groups(connection, entry))


def _entry(connection: Connection, email: str) -> Entry | None:
    """The one entry of that address; two of one address are nobody's."""
    asked = settings.LDAP_FILTER.replace("{}", escape_filter_chars(email))
    connection.search(settings.LDAP_BASE, asked, attributes=NEEDED, size_limit=2)
    return connection.entries[0] if len(connection.entries) == 1 else None


def _groups(connection: Connection, entry: Entry) -> tuple[str, ...]:
    """The names of their groups: as the entry says, and as the groups say where those are searched."""
    named = names_of(list(entry.memberOf.values))
    if not settings.LDAP_GROUPS_BASE:
        return named
    connection.search(
        settings.LDAP_GROUPS_BASE, f"(|(member={escape_filter_chars(entry.entry_dn)})(uniqueMember={escape_filter_chars(entry.entry_dn)}))", attributes=["cn"]
    )
    return (*named, *(str(group.cn.value) for group in connection.entries))


def _opens(dn: str, password: str) -> bool:
    with _connected(dn, password, needed=False) as connection:
        return bool(connection.bound)


@contextmanager
def _connected(user: str, password: str, *, needed: bool = True) -> Iterator[Connection]:
    """A connection under TLS, bound; `needed` raises where the directory does not take the password."""
    tls = Tls(validate=ssl.CERT_REQUIRED, version=ssl.PROTOCOL_TLS_CLIENT, ca_certs_file=settings.LDAP_CA or None)
    server = Server(settings.LDAP_URL, get_info=NONE, tls=tls, connect_timeout=PATIENCE_S)
    names = {"user": user, "password": password, "authentication": SIMPLE} if user else {}
    connection = Connection(server, auto_bind=AUTO_BIND_NONE, receive_timeout=PATIENCE_S, read_only=True, check_names=False, raise_exceptions=False, **names)
    try:
        connection.open()
        if settings.LDAP_STARTTLS and not connection.start_tls(read_server_info=False):
            raise LDAPException("no TLS")
        if not connection.bind() and needed:
            raise LDAPException("the directory does not take GPULAB_LDAP_USER")
        yield connection
    finally:
        connection.unbind()
