"""Words of a closed vocabulary, as people type them."""

from enum import StrEnum
from typing import TypeVar

from inbond.schemas.errors import InvalidInput

W = TypeVar("W", bound=StrEnum)


def word(vocabulary: type[W], text: str, what: str) -> W:
    """The word of `vocabulary` that `text` is; InvalidInput, listing them, for any other."""
    try:
        return vocabulary(text)
    except ValueError:
        raise InvalidInput(f"{what}: expected one of {', '.join(vocabulary)}, found {text!r}") from None
