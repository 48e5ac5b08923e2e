"""What a refusal is: words for the person, and the field that caused it."""


class Refused(ValueError):
    """The rules say no. `words` tells which limit, by how much, and what would fit."""

    def __init__(self, words: str, *, field: str = "", code: str = "refused") -> None:
        super().__init__(words)
        self.words = words
        self.field = field
        self.code = code
