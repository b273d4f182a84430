"""From the tokens of a source to ids of one vocabulary, and to distributions.

A vocabulary is observed (the source gave ids), derived (a tokenizer says which id a text has) or a table: ids in order of
first appearance for the byte strings that a source returned, so that nothing is lost where no tokenizer is at hand.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from struct import Struct as Packing
from typing import Protocol

import numpy as np

from inbond.registry.importers.arranging import Ids, arrange
from inbond.registry.importers.observed import TokenLogprobs
from inbond.registry.importers.texts import Numbered
from inbond.registry.importers.tokenizer_files import read_tokenizer
from inbond.registry.shards.distributions import Distributions
from inbond.schemas.errors import InvalidInput

MAX_IDS = 2**32
TABLE_MAGIC = b"inbond-token-table-v1\n"
LONGEST_TOKEN = 65_536

_length = Packing(">I")


class Vocabulary(Protocol):
    """Ids of tokens, all below `size`, and what gave them: `ids` is observed, derived or table."""

    @property
    def digest(self) -> str:
        """`sha256:` of the tokenizer's file, or of the table."""

    @property
    def size(self) -> int:
        """One more than the greatest id there can be."""

    @property
    def ids(self) -> str:
        """Observed, derived or table."""

    def distributions(self, found: TokenLogprobs) -> Distributions:
        """Sorted distributions of `found`, with tail and rank. Raises InvalidInput for tokens that are not of this vocabulary."""


class _Observed:
    ids = "observed"

    def __init__(self, digest: str, size: int) -> None:
        self.digest, self.size = digest, size

    def distributions(self, found: TokenLogprobs) -> Distributions:
        if not found.has_ids:
            raise InvalidInput(
                "log-probabilities: expected token ids, found texts of tokens",
                hint="Name the tokenizer whose ids they are to get (--tokenizer FILE), or none for a table of the texts.",
            )
        return arrange(found, self._within)

    def _within(self, given: Sequence[int]) -> Ids:
        try:
            ids = np.asarray(given, dtype=np.int64)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidInput(f"log-probabilities: expected integer ids, found others ({error})") from None
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < self.size:
            wrong = int(ids.min() if ids.min() < 0 else ids.max())
            raise InvalidInput(
                f"log-probabilities: expected token ids from 0 to {self.size - 1}, found {wrong}",
                hint="The vocabulary is that of the model, which may be larger than its tokenizer's: --vocabulary N.",
            )
        return ids.astype(np.uint32)


def observed(digest: str, size: int) -> Vocabulary:
    """For sources that give ids: `digest` names the tokenizer, `size` is the model's vocabulary."""
    if not 0 < size <= MAX_IDS:
        raise InvalidInput(f"vocabulary: expected a size from 1 to {MAX_IDS}, found {size}")
    return _Observed(digest, size)


class TokenTable:
    r"""Ids in order of first appearance for the byte strings of tokens; grows as distributions are asked for.

    A table that was read goes on where it ended, so ids of an earlier table are the same in every later one. `data()` is
    `inbond-token-table-v1\n`, then for each id from 0 on the length of its bytes (u32, big-endian) and its bytes.
    """

    ids = "table"

    def __init__(self, tokens: Iterable[bytes] = ()) -> None:
        self._ids: dict[bytes, int] = {}
        self._numbered = Numbered()
        for token in tokens:
            self._id(token)

    @property
    def digest(self) -> str:
        """`sha256:` of `data()` as it is now."""
        return f"sha256:{sha256(self.data()).hexdigest()}"

    @property
    def size(self) -> int:
        """How many tokens it has."""
        return len(self._ids)

    @property
    def tokens(self) -> tuple[bytes, ...]:
        """The tokens, that of id 0 first."""
        return tuple(self._ids)

    def data(self) -> bytes:
        """The table as bytes; equal for equal tables."""
        parts = [TABLE_MAGIC]
        for token in self._ids:
            parts += (_length.pack(len(token)), token)
        return b"".join(parts)

    @classmethod
    def read(cls, data: bytes) -> "TokenTable":
        """The table of `data`. Raises InvalidInput for bytes that no table gives."""
        if not data.startswith(TABLE_MAGIC):
            raise InvalidInput(f"token table: expected bytes that begin with {TABLE_MAGIC!r}, found {data[:24]!r}")
        table = cls()
        at = len(TABLE_MAGIC)
        while at < len(data):
            size = _length.unpack_from(data, at)[0] if at + 4 <= len(data) else LONGEST_TOKEN + 1
            token = data[at + 4 : at + 4 + size]
            if size > LONGEST_TOKEN or len(token) != size or token in table._ids:
                raise InvalidInput(
                    f"token table, byte {at}: expected a token that no earlier id has, found none or one cut short"
                )
            table._id(token)
            at += 4 + size
        return table

    def distributions(self, found: TokenLogprobs) -> Distributions:
        """Sorted distributions of `found`; tokens not met before get the next ids. Raises InvalidInput for ids of a source."""
        if found.has_ids and len(found.tokens):
            raise InvalidInput("log-probabilities: expected texts of tokens for a token table, found token ids")
        return arrange(found, self._array)

    def _array(self, tokens: Sequence[bytes]) -> Ids:
        return self._numbered.of(tokens, self._id)

    def _id(self, token: bytes) -> int:
        if len(token) > LONGEST_TOKEN:
            raise InvalidInput(f"token table: expected a token of at most {LONGEST_TOKEN} bytes, found {len(token)}")
        return self._ids.setdefault(token, len(self._ids))


class Tokenizer:
    """The ids that a tokenizer has for the bytes of tokens. Its file names it: `digest` is the SHA-256 of that file."""

    ids = "derived"

    def __init__(self, digest: str, size: int, tokens: Mapping[bytes, int]) -> None:
        self.digest, self.size = digest, size
        self._ids = tokens
        self._numbered = Numbered()

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Tokenizer":
        """That of a tokenizer.json or a .tiktoken file (see `tokenizer_files`)."""
        tokens = read_tokenizer(path)
        return cls(tokens.digest, tokens.size, tokens.ids)

    def distributions(self, found: TokenLogprobs) -> Distributions:
        """Sorted distributions of `found`. Raises InvalidInput, naming it, for a text that is no token of the tokenizer."""
        if found.has_ids and len(found.tokens):
            raise InvalidInput("log-probabilities: expected texts of tokens for a tokenizer, found token ids")
        return arrange(found, self._array)

    def _array(self, tokens: Sequence[bytes]) -> Ids:
        return self._numbered.of(tokens, self._id)

    def _id(self, token: bytes) -> int:
        found = self._ids.get(token)
        if found is None:
            raise InvalidInput(
                f"log-probabilities: expected tokens of the tokenizer {self.digest[:15]}…, found {token!r}, which is none",
                hint="Is it the tokenizer of this model? Without one, a table of the texts keeps them whole.",
            )
        return found
