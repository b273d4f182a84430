"""One JSON array, read element by element.

Two ways through the text meet at the boundaries between elements. The quick one takes everything up to the last place in
a block that looks like a boundary, and lets msgspec parse it as an array: if a text that begins at a boundary, closed
with `]`, is a valid array, then its end is a boundary too. The careful one finds brackets, commas and quotes with numpy,
needs no valid JSON, and carries its state from block to block; it begins and ends every block, learns what stands
between two elements, and takes over where the quick one fails, so that one malformed element does not hide the next.
"""

import re
from collections.abc import Generator, Iterable, Iterator

import msgspec
import numpy as np

from inbond.registry.importers.element import WHITE, Element, Pending, Values
from inbond.registry.importers.layout import text_of
from inbond.schemas.errors import InvalidInput

WINDOW = 16 * 1024

_objects = msgspec.json.Decoder(list[Values])
_BRACE = ord("{")
_GAP = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*")


def array_elements(blocks: Iterable[bytes], name: str, line: int) -> Iterator[Element]:
    """The elements of the array that `blocks` begin with (the first byte is `[`); `line` is the line of that byte.

    An element is whatever stands between two commas, valid or not; one may be empty. Raises InvalidInput, naming file and line,
    when the array does not end or something follows it.
    """
    array = _Array(name, line)
    for block in blocks:
        yield from array.feed(block)
    array.end()


class _Array:
    def __init__(self, name: str, line: int) -> None:
        self._name = name
        self._line = line  # of the last boundary
        self._number = 0
        self._begun = False
        self._done = False
        self._scanner = _Scanner()
        self._pending = Pending()
        self._trailing = b""  # white space after the previous element
        self._between: bytes | None = None  # what stood between the last two elements that were seen

    def feed(self, block: bytes) -> Iterator[Element]:
        at = 0
        if not self._begun:
            self._begun = True
            at = 1  # the opening bracket
        quick = True
        while at < len(block):
            if self._done:
                self._check_end(block[at:])
                return
            if quick and not self._pending.size and self._between is not None:
                quick = False
                start = at
                at = yield from self._objects(block, at, self._between)
                self._line += block.count(b"\n", start, at)
                continue
            window = block[at : at + WINDOW]
            start = 0
            for cut, closing in self._scanner.feed(window):
                self._pending.add(window[start:cut])
                start = cut + 1
                if closing and self._number == 0 and self._pending.blank:
                    self._line += self._pending.lines
                else:
                    yield self._take()
                if closing:
                    if window[cut:start] != b"]":
                        raise InvalidInput(
                            f"{self._name}, line {self._line}: expected ] to end the array, found }}",
                            file=self._name,
                            line=self._line,
                        )
                    self._done = True
                    break
            if self._done or (quick and start):
                self._scanner = _Scanner()
                at += start
            else:
                self._pending.add(window[start:])
                at += len(window)

    def end(self) -> None:
        if not self._done:
            line = self._line + self._pending.lines_before
            raise InvalidInput(
                f"{self._name}, line {line}: expected ] to end the array, "
                f"found the end of the file in or after record {self._number + 1}, which begins there",
                file=self._name,
                line=line,
                record=self._number + 1,
            )

    def _objects(self, block: bytes, at: int, between: bytes) -> Generator[Element, None, int]:
        """The quick way from the boundary at `at` on. Returns a boundary; `at` itself where the quick way is closed."""
        end = block.rfind(b"}" + between + b"{", at) + 1
        if not end:
            return at
        try:
            objects = _objects.decode(b"".join((b"[", memoryview(block)[at:end], b"]")))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return at
        start = boundary = at
        gap = between[between.index(b",") + 1 :]
        for values in objects:
            begin = at + len(gap)
            if block[begin] != _BRACE or not block.startswith(gap, at):
                begin = _GAP.match(block, at).end()  # type: ignore[union-attr]
            raw = text_of(block, begin, values)
            if raw is None:  # a name twice, which is for the importer to refuse
                return boundary
            self._number += 1
            yield Element(raw, self._line, self._number, values=values, since=(block, start, begin))
            at = begin + len(raw)
            boundary = block.index(b",", at) + 1
            gap = between
        return boundary

    def _take(self) -> Element:
        pending = self._pending
        self._pending = Pending()
        self._number += 1
        line = self._line + pending.lines_before
        self._line += pending.lines
        text = pending.join()
        raw = text.lstrip(WHITE)
        if self._number > 1:
            self._between = self._trailing + b"," + text[: len(text) - len(raw)]
        text = raw.rstrip(WHITE)
        self._trailing = raw[len(text) :]
        return Element(text, line, self._number, pending.too_large)

    def _check_end(self, rest: bytes) -> None:
        text = rest.lstrip(WHITE)
        line = self._line + rest[: len(rest) - len(text)].count(b"\n")
        if text:
            raise InvalidInput(
                f"{self._name}, line {line}: expected the end of the file after the array, found {text[:24]!r}",
                hint="A file is one JSON array, or one JSON object a line.",
                file=self._name,
                line=line,
            )
        self._line = line


_QUOTE, _OPEN, _CLOSE, _COMMA = 1, 2, 3, 4
_CODES = bytes(
    {ord('"'): _QUOTE, ord("["): _OPEN, ord("{"): _OPEN, ord("]"): _CLOSE, ord("}"): _CLOSE, ord(","): _COMMA}.get(byte, 0)
    for byte in range(256)
)
_STEPS = np.array([0, 0, 1, -1, 0], dtype=np.int64)


class _Scanner:
    """Finds the boundaries of elements in text that arrives in pieces, from a boundary on."""

    def __init__(self) -> None:
        self._depth = 1
        self._quoted = 0
        self._escaped = False

    def feed(self, text: bytes) -> list[tuple[int, bool]]:
        """Positions in `text` of the commas between elements, and (True) of the bracket that ends the array; none after it."""
        shift = int(self._escaped)
        masked = b"\\" + text if shift else text
        if b"\\" in masked:
            self._escaped = (len(masked) - len(masked.rstrip(b"\\"))) % 2 == 1
            # A run of backslashes starts an escape, so pairs from its left are escaped backslashes; what then still
            # precedes a quote escapes it. Quotes that remain delimit strings.
            masked = masked.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        else:
            self._escaped = False
        codes = np.frombuffer(masked.translate(_CODES), dtype=np.uint8)
        places = np.flatnonzero(codes)
        codes = codes[places]
        quotes = codes == _QUOTE
        parity = (np.cumsum(quotes) + self._quoted) & 1
        plain = (parity == 0) & ~quotes
        if len(parity):
            self._quoted = int(parity[-1])
        places, codes = places[plain], codes[plain]
        depths = np.cumsum(_STEPS[codes]) + self._depth
        if len(depths):
            self._depth = int(depths[-1])
        found: list[tuple[int, bool]] = []
        for index in np.flatnonzero((depths == 0) | ((codes == _COMMA) & (depths == 1))).tolist():
            closing = bool(depths[index] == 0)
            found.append((int(places[index]) - shift, closing))
            if closing:
                break
        return found
