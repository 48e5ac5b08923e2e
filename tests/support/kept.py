"""What a house of the tests leaves for the search for secrets, where the run has one: every line that it said, and every column of its database."""

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.witness.witness import LONG, keep


def line_kept(house: str, line: str) -> None:
    """A line of the house's own output, but that with the first administrator's password, which is said once at the first start."""
    if os.environ.get("WITNESS_FOLDER") and not re.search(r"Password: {6,}\S+$", line.rstrip()):
        keep(f"logs/{house}", line.rstrip("\n"))


def house_kept(environment: Mapping[str, str], home: Path) -> None:
    """Its database as it is now, and the logs that lie in its folder. A database that is away has nothing to tell."""
    if not os.environ.get("WITNESS_FOLDER"):
        return
    url = environment.get("GPULAB_DATABASE_URL", "")
    try:
        for table, text in _of_postgres(url) if url.startswith("postgres") else _of_sqlite(home / "db.sqlite3"):
            if LONG.search(text):
                keep(f"columns/{table}", text)
    except (psycopg.Error, sqlite3.Error):
        return
    for path in home.rglob("*.log"):
        keep(f"logs/{path.name}", path.read_text(errors="replace"))


def _of_sqlite(path: Path) -> Iterator[tuple[str, str]]:
    if not path.exists():
        return
    link = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for (table,) in link.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in link.execute(f'SELECT * FROM "{table}"'):
                yield table, "\n".join(map(str, row))
    finally:
        link.close()


def _of_postgres(url: str) -> Iterator[tuple[str, str]]:
    with psycopg.connect(url, connect_timeout=5) as link:
        tables = link.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            for row in link.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))):
                yield table, "\n".join(map(str, row))
