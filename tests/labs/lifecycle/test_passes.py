"""Passes: believed without a database, and for nothing but what they say."""

import dataclasses

import pytest

from labs.lifecycle.passes import LIFETIME_S, Kind, PassRefused, check, mint, opened

KEY = b"k" * 32
NOW = 1_700_000_000.0


def _minted(kind: Kind = "browser") -> str:
    return mint(key=KEY, kind=kind, user_id=7, lab_id="abcdefghijkl", role="owner", now=NOW, path="lab")


@pytest.mark.parametrize("kind", list(LIFETIME_S))
def test_a_pass_says_what_was_signed_and_lasts_its_time(kind: Kind) -> None:
    stated = opened(_minted(kind), key=KEY)
    assert (stated.kind, stated.user_id, stated.lab_id, stated.role, stated.issued, stated.path) == (kind, 7, "abcdefghijkl", "owner", NOW, "lab")
    for moment in (NOW - 0.9, NOW, NOW + LIFETIME_S[kind] - 0.1):
        assert check(stated, kind=kind, now=moment) is stated
    for moment in (NOW - 1.1, NOW + LIFETIME_S[kind]):
        with pytest.raises(PassRefused):
            check(stated, kind=kind, now=moment)


def test_a_pass_of_one_kind_is_none_of_another() -> None:
    for kind in LIFETIME_S:
        for other in LIFETIME_S:
            if kind != other:
                with pytest.raises(PassRefused):
                    check(opened(_minted(kind), key=KEY), kind=other, now=NOW)


def test_a_pass_that_was_changed_or_signed_by_another_is_refused() -> None:
    text = _minted()
    body, signature = text.rsplit(":", 1)
    for forged in ("", "x", body, body + ":", text[:-1] + ("A" if text[-1] != "A" else "B"), body[:-2] + "xx:" + signature, text.swapcase()):
        with pytest.raises(PassRefused):
            opened(forged, key=KEY)
    with pytest.raises(PassRefused):
        opened(text, key=b"x" * 32)


def test_every_pass_has_a_nonce_of_its_own_and_fits_a_cookie() -> None:
    first, second = _minted(), _minted()
    assert first != second and len(first) < 400
    assert dataclasses.replace(opened(first, key=KEY), nonce="") == dataclasses.replace(opened(second, key=KEY), nonce="")
