"""What `io.RawIOBase` and `pyarrow.PythonFile` ask of a read-only file whose size is known, but for the reading itself."""

import io
from abc import abstractmethod


class PositionedFile(io.RawIOBase):
    """A read-only, seekable file of `size` bytes, read from a position on by what `_take` gives."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size, self._position = size, 0

    @abstractmethod
    def _take(self, first: int, last: int) -> bytes | memoryview:
        """Bytes [first, last), which lie in the file."""

    def read(self, size: int | None = -1) -> bytes:
        """Bytes at the present position, as many as were asked for unless the file ends before."""
        return bytes(self._read_on(size))

    def readinto(self, buffer: object) -> int:
        """Fill `buffer`, unless the file ends before."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self._read_on(len(target))
        target[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Everything from the present position on."""
        return self.read()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, as `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def size(self) -> int:
        """The size in bytes."""
        return self._size

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def _read_on(self, size: int | None) -> bytes | memoryview:
        """Bytes at the present position, which is then behind them."""
        first = min(self._position, self._size)
        last = self._size if size is None or size < 0 else min(first + size, self._size)
        data = self._take(first, last) if first < last else b""
        self._position += len(data)
        return data
