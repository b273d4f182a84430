"""Bytes on their way to a server's store: kept on this machine while they are written, sent when their digest is known."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from inbond.registry.objects import as_lines, bare, failures_of
from inbond.registry.places.transport import Transport
from inbond.schemas.errors import VerificationError
from inbond.schemas.scalars import ObjectList

_CHUNK = 1 << 20


@dataclass
class _Put:
    digest: str
    size: int


class RemoteObjects:
    """Where a verb puts bytes before it names them in a statement; the server hashes what arrives before it keeps it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def put_bytes(self, data: bytes) -> str:
        """Send `data`; returns its bare digest when the server has kept it."""
        digest = sha256(data).hexdigest()
        self._put(digest, len(data), lambda: [data])
        return digest

    def put_file(self, file: BinaryIO, digest: str) -> str:
        """Send the bytes of a scratch file that the caller has hashed to `digest`."""
        digest = bare(digest)
        file.flush()
        self._put(digest, os.fstat(file.fileno()).st_size, lambda: _chunks(file))
        return digest

    def put_blocks(self, digest: str, leaf_hashes: bytes) -> None:
        """Nothing: the server computes them, and who reads compares them with the signed root."""

    def put_lines(self, values: Iterable[Any]) -> ObjectList:
        """Send a list as canonical JSON lines."""
        data, named = as_lines(values)
        self.put_bytes(data)
        return named

    @contextmanager
    def scratch(self) -> Iterator[BinaryIO]:
        """A new file in a temporary folder of this machine, gone at the end."""
        with tempfile.TemporaryDirectory(prefix="inbond-") as folder:
            with failures_of("scratch file in", folder):
                file = Path(folder, "scratch").open("x+b")  # noqa: SIM115  # closed below, before its folder goes
            with file:
                yield file

    def _put(self, digest: str, size: int, chunks: Any) -> None:
        path = f"/v1/objects/{digest}"
        kept = self._transport.put(path, chunks, size, _Put)
        if (kept.digest.removeprefix("sha256:"), kept.size) != (digest, size):
            raise VerificationError(
                f"the server's answer to {path}: expected {size} bytes of {digest} kept, found {kept.size} of {kept.digest}"
            )


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk
