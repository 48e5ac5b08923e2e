"""What others wrote is what it was, with its licence, and all of it is served."""

import hashlib

from tests.worker.desk.conftest import Page
from worker.desk.routes import STATIC
from worker.runtimes.desk import FOLDER


def test_every_vendored_file_is_listed_unchanged_and_licensed() -> None:
    vendor = FOLDER / "static/vendor"
    listed = dict(reversed(line.split("  ./")) for line in (vendor / "SHA256SUMS").read_text().splitlines())
    there = {str(path.relative_to(vendor)) for path in vendor.rglob("*") if path.is_file()} - {"SHA256SUMS", "README.md"}
    assert there == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
    assert all((folder / "LICENSE").read_text() for folder in vendor.iterdir() if folder.is_dir())


def test_the_pages_parts_are_served_and_nothing_else_of_the_folder(page: Page) -> None:
    for name, kind in STATIC.items():
        answer = page.client.get(f"static/{name}")
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, kind)
    for name in ("vendor/README.md", "../main.py", "%2e%2e/main.py", ""):
        assert page.client.get(f"static/{name}").status_code == 404, name
