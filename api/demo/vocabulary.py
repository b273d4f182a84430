"""The words of a demo model, by number."""

import re
from collections.abc import Iterable, Sequence
from typing import Self

from inbond.schemas.errors import InvalidInput

START, END, UNKNOWN = 0, 1, 2
MARKS = ("<start>", "<end>", "<unknown>")
MAX_WORDS = 65_536

_TOKEN = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")
_WORD = re.compile(rf"(?:{_TOKEN.pattern})\Z")
_CLOSING = frozenset(".,?!;:)")


class Vocabulary:
    """The words that a model knows, by number: the three marks first, then `words` in the given order.

    Words keep their capitals (May is not may), except that the first word of a sentence begins small.
    Raises InvalidInput for a word that is given twice or that `encode` could never produce.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._numbers = {word: number for number, word in enumerate(self.words, len(MARKS))}
        wrong = next((word for word in self.words if not _WORD.match(word)), None)
        if wrong is not None:
            raise InvalidInput(f"vocabulary: expected single words or signs, found {wrong[:40]!r}")
        if len(self._numbers) != len(self.words) or len(self) > MAX_WORDS:
            raise InvalidInput(
                f"vocabulary: expected at most {MAX_WORDS} different words, "
                f"found {len(self._numbers)} different among {len(self.words)}"
            )

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """The vocabulary of all words in `texts`, sorted."""
        return cls(sorted({word for text in texts for word in _words(text)}))

    def __len__(self) -> int:
        return len(MARKS) + len(self.words)

    def encode(self, text: str) -> list[int]:
        """The numbers of the words of `text`; a word that is not known becomes UNKNOWN."""
        return [self._numbers.get(word, UNKNOWN) for word in _words(text)]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of `numbers`, each sentence with a capital, UNKNOWN written as `…`; START and END say nothing."""
        text, capital = "", True
        for number in numbers:
            if number in (START, END):
                continue
            word = "…" if number == UNKNOWN else self.words[number - len(MARKS)]
            space = "" if not text or word in _CLOSING else " "
            text += space + (word[:1].upper() + word[1:] if capital else word)
            capital = word in (".", "?", "!")
        return text


def _words(text: str) -> list[str]:
    words: list[str] = []
    begins = True
    for word in _TOKEN.findall(text):
        words.append(word[:1].lower() + word[1:] if begins else word)
        begins = word in (".", "?", "!")
    return words
