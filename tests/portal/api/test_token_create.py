"""`manage.py token_create USER`."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from labs.people.models import ApiToken
from tests.support.callers import Caller

pytestmark = pytest.mark.django_db


def _make(*words: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("token_create", *words, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_it_prints_the_secret_alone_and_the_secret_works(alice: Any) -> None:
    out, err = _make("Alice@Example.edu", "--scope", "read", "--days", "7", "--name", "cron")
    assert out.startswith("gpa_") and out.count("\n") == 1
    assert "cron" in err and out.strip() not in err
    assert Caller(out.strip()).get("/me").json()["scope"] == "read"


def test_only_a_digest_of_it_is_kept(alice: Any) -> None:
    secret = _make("alice@example.edu")[0].strip()
    kept = ApiToken.objects.values().get()
    assert secret not in str(kept) and len(kept["digest"]) == 64


@pytest.mark.parametrize("words", ["nobody@example.edu", "alice@example.edu --days 0", "alice@example.edu --days 366", "alice@example.edu --scope admin"])
def test_what_cannot_be_is_refused_in_words(alice: Any, words: str) -> None:
    with pytest.raises(CommandError):
        _make(*words.split())
    assert not ApiToken.objects.exists()
