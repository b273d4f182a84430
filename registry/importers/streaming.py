"""Raw records out of JSON text, JSON Lines or one array, in bounded memory.

The first byte that is not white space decides: `[` begins an array, everything else is one JSON value a line. Nothing
here looks into a record beyond finding where it ends, and nothing is dropped: what is no record is an error, or an
element that its importer will reject.
"""

from collections.abc import Iterable, Iterator

from inbond.registry.importers.element import WHITE, Element
from inbond.registry.importers.json_array import array_elements
from inbond.registry.importers.json_lines import line_elements
from inbond.schemas.errors import InvalidInput

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_FORMATS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"PAR1": "Parquet",
}


def elements(blocks: Iterable[bytes], name: str) -> Iterator[Element]:
    """The records of the file called `name`, whose content is `blocks`, in order.

    A UTF-8 byte order mark is skipped. Raises InvalidInput for a file without a record that is not an empty array, for one
    that is packed, and for an array that does not end or is followed by something: there, where a next record would begin
    cannot be known.
    """
    stream = iter(blocks)
    head = b""
    while len(head) < 4 and (block := next(stream, b"")):
        head += block
    for magic, format in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise InvalidInput(
                f"{name}: expected JSON text, found {format} data", hint="Unpack it first, or write it as JSON Lines.", file=name
            )
    head = head.removeprefix(_BYTE_ORDER_MARK)
    line = 1
    while not (text := head.lstrip(WHITE)):
        line += head.count(b"\n")
        following = next(stream, None)
        if following is None:
            raise InvalidInput(f"{name}: expected a JSON array or one JSON object a line, found no record", file=name)
        head = following
    line += head[: len(head) - len(text)].count(b"\n")
    return _of(text, stream, name, line)


def begins_with_object(head: bytes) -> bool:
    """Whether a file that begins with `head` is surely JSON Lines, not an array and no other format."""
    return head.removeprefix(_BYTE_ORDER_MARK).lstrip(WHITE).startswith(b"{")


def _of(text: bytes, stream: Iterator[bytes], name: str, line: int) -> Iterator[Element]:
    blocks = _chain(text, stream)
    return array_elements(blocks, name, line) if text.startswith(b"[") else line_elements(blocks, line)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
