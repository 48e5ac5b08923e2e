"""Numbers of rows, as browsers send them."""

from collections.abc import Iterable

#: Digits of the largest number that a row can have; Python refuses to read some thousands of them at all.
DIGITS = 18


def row_numbers(texts: Iterable[str]) -> list[int]:
    """Those of the texts that can be the number of a row; nonsense is passed over."""
    return [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) <= DIGITS]
