"""Requests that wait for their answers: on disk, because a batch may be larger than memory."""

import tempfile
from typing import BinaryIO, cast

from inbond.schemas.errors import StoreError


class Spool:
    """Raw JSON by key, in a file without a name that goes away with the process; one key takes some hundred bytes of memory."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[int, int]] = {}
        self._asked_for: set[str] = set()
        self._file: BinaryIO | None = None
        self._size = 0

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def put(self, key: str, raw: bytes) -> None:
        """Keep `raw`. Raises StoreError where the disk fails."""
        try:
            if self._file is None:
                self._file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  # lives as long as the import
            self._file.seek(self._size)
            self._file.write(raw)
        except OSError as error:
            raise StoreError(f"scratch file for requests: {error}") from error
        self._places[key] = (self._size, len(raw))
        self._size += len(raw)

    def get(self, key: str) -> bytes | None:
        """What was kept under `key`, None for nothing."""
        place = self._places.get(key)
        if place is None or self._file is None:
            return None
        self._asked_for.add(key)
        try:
            self._file.seek(place[0])
            return self._file.read(place[1])
        except OSError as error:
            raise StoreError(f"scratch file for requests: {error}") from error

    def waiting(self) -> list[str]:
        """The keys that nobody has asked for."""
        return [key for key in self._places if key not in self._asked_for]

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
