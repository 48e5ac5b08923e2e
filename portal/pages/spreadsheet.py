"""Cells of exported tables."""

#: A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(text: str) -> str:
    """Text that no spreadsheet computes."""
    return f"'{text}" if text.startswith(FORMULA) else text
