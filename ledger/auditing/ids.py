"""Header ids: every statement has one of its own.

Up to half a million are held in memory; all are written to a file, in the order of their entries, and where there are
more they are dealt out into files, each of which fits into memory. The file of an audit that found nothing wrong
is what the next one goes on from.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from inbond.schemas.errors import VerificationError

SIZE = 16
HELD = 500_000

_BLOCK = 1 << 20


class HeaderIds:
    """The header ids of a log's entries from 0 on."""

    def __init__(self, held: int = HELD) -> None:
        self._most = held
        self._held: set[bytes] | None = set()
        self._file = tempfile.TemporaryFile(prefix="inbond-audit-")  # noqa: SIM115
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def add(self, ids: bytes) -> None:
        """Add the ids of the next entries; raises VerificationError for one that is held already."""
        self._file.write(ids)
        self.count += len(ids) // SIZE
        if self._held is None:
            return
        self._held.update(_split(ids))
        if len(self._held) != self.count:
            self._name_first(0, 1)
        if self.count > self._most:
            self._held = None

    def finish(self) -> None:
        """Raise VerificationError if two are the same."""
        if self._held is not None:
            return
        shares = min(256, -(-self.count // self._most))
        with ExitStack() as files:
            parts = [files.enter_context(tempfile.TemporaryFile(prefix="inbond-audit-")) for _ in range(shares)]
            for block in self.blocks():
                sorted_out: list[list[bytes]] = [[] for _ in parts]
                for id in _split(block):
                    sorted_out[id[-1] % shares].append(id)
                for part, some in zip(parts, sorted_out, strict=True):
                    part.write(b"".join(some))
            for share, part in enumerate(parts):
                part.seek(0)
                data = part.read()
                if len(set(_split(data))) * SIZE != len(data):
                    self._name_first(share, shares)

    def blocks(self) -> Iterator[bytes]:
        """All of them, some at a time."""
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            yield block
        self._file.seek(0, 2)

    def _name_first(self, share: int, shares: int) -> None:
        seqs: dict[bytes, int] = {}
        seq = 0
        for block in self.blocks():
            for id in _split(block):
                if id[-1] % shares == share and seqs.setdefault(id, seq) != seq:
                    raise VerificationError(f"entry {seq}: expected a header id of its own, found that of entry {seqs[id]}")
                seq += 1


def _split(ids: bytes) -> list[bytes]:
    return [ids[at : at + SIZE] for at in range(0, len(ids), SIZE)]
