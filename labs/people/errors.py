"""What a refusal is: words for the person, and the field that caused it."""

from collections.abc import Mapping


class Refused(ValueError):
    """The rules say no. `words` tells which limit, by how much, and what would fit; `more` which limits would have to be how much."""

    def __init__(self, words: str, *, field: str = "", code: str = "refused", more: Mapping[str, int] | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.field = field
        self.code = code
        self.more = dict(more or {})
