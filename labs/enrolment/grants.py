"""Roles of nodes in PostgreSQL: made at a join, dropped when a node is given up, their views made anew after every change of the tables."""

from collections.abc import Iterable

from django.apps import apps
from django.conf import settings
from django.db import ProgrammingError, connection, transaction

from labs.enrolment.rights import SCHEMA, role_grant, schema_make
from labs.people.errors import Refused

#: Connections that one node may hold: a worker's threads and a relay's.
CONNECTIONS = 64
TIMEOUT = "30s"


def is_able() -> bool:
    """Can this database have a role a node?"""
    return connection.vendor == "postgresql"


def views_make(*, roles: Iterable[str]) -> None:
    """Make the views as the tables are now, for these roles. One transaction: a node never meets half of them."""
    columns = {model._meta.db_table: [str(field.column) for field in model._meta.local_fields] for model in apps.get_models(include_auto_created=True)}
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (*schema_make(columns), *(line for role in roles for line in role_grant(role, columns))):
            cursor.execute(statement)


def views_there() -> bool:
    """Are they made? A change of the tables takes them away."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [SCHEMA])
        return cursor.fetchone() is not None


def role_make(*, role: str, password: str) -> None:
    """A role that may sign in and do nothing yet. Refused where the house's own role may make none."""
    database = connection.ops.quote_name(str(connection.settings_dict["NAME"]))
    name = connection.ops.quote_name(role)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"CREATE ROLE {name} LOGIN NOINHERIT CONNECTION LIMIT {CONNECTIONS} PASSWORD %s", [password])
            cursor.execute(f"ALTER ROLE {name} IN DATABASE {database} SET search_path = {SCHEMA}")
            cursor.execute(f"ALTER ROLE {name} IN DATABASE {database} SET statement_timeout = '{TIMEOUT}'")
    except ProgrammingError as error:
        owner = settings.DATABASES["default"].get("USER")
        raise Refused(f"The database lets GPU Lab make no roles. Run there once, as its administrator: ALTER ROLE {owner} CREATEROLE;") from error


def role_drop(*, role: str) -> None:
    """It signs in no more, and what it had open is closed. Nothing happens where there is none."""
    name = connection.ops.quote_name(role)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        if cursor.fetchone() is None:
            return
        cursor.execute(f"ALTER ROLE {name} NOLOGIN")
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
        cursor.execute(f"DROP OWNED BY {name}")
        cursor.execute(f"DROP ROLE {name}")
