"""Text out of token ids, for formats that have ids and no text."""

from collections.abc import Iterable

from inbond.registry.importers.base import Option
from inbond.registry.importers.fields import Fault
from inbond.registry.importers.tokenizer_files import read_tokenizer

TOKENIZER = Option("tokenizer", "the tokenizer.json, or .tiktoken file, by which ids become text")


class TokenTexts:
    """The bytes of each id of a tokenizer's file; joined and read as UTF-8 they are a text."""

    def __init__(self, path: str) -> None:
        tokens = read_tokenizer(path)
        self._texts = [b""] * tokens.size
        for token, number in tokens.every:
            self._texts[number] = token

    def text(self, ids: Iterable[int], path: str) -> str:
        """The text of `ids`, U+FFFD for bytes that are no character. Raises Fault for an id that the tokenizer does not have."""
        numbers = list(map(int, ids))
        wrong = next((number for number in numbers if not 0 <= number < len(self._texts)), None)
        if wrong is not None:
            raise Fault("wrong-value", path, f"token ids of the tokenizer, below {len(self._texts)}", str(wrong))
        return b"".join([self._texts[number] for number in numbers]).decode(errors="replace")
