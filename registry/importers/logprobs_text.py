"""Taking long arrays of log-probabilities out of a record's text before it is parsed.

A thousand tokens with twenty alternatives each are two megabytes of JSON, which a parser that goes down into a record
level by level reads five times. In the layout that the chat interfaces write, `{"token": …, "bytes": …, "logprob": …}`, what
stands between two numbers is one of a few thousand texts: the end of an entry and the beginning of the next. Each is read
once and known from then on; a text of another layout is left to the parser, and both ways give the same.
"""

import re
from dataclasses import dataclass
from secrets import token_hex
from threading import Lock
from typing import Any

import msgspec
import numpy as np

from inbond.registry.importers.fields import Fault
from inbond.registry.importers.observed import TokenLogprobs, token_logprobs
from inbond.registry.importers.texts import Texts
from inbond.registry.importers.token_entries import text_bytes

_MOST_KNOWN = 400_000

# The first of the two forms takes nearly all numbers, and is the faster one to match.
_SPLIT = re.compile(
    rb'"logprob": ?(-[0-9]\.[0-9]+(?:e-[0-9]+)?(?![0-9eE.])|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)'
)


def _pattern(*parts: bytes) -> re.Pattern[bytes]:
    """A pattern in which ~ is white space."""
    return re.compile(b"".join(parts).replace(b"~", rb"[ \t\r\n]*"))


_ENTRY = rb'\{~"token"~:~(?P<token>"(?:[^"\\]|\\.)*")~,~(?:"bytes"~:~(?P<bytes>\[[0-9, \t\r\n]*\]|null)~,~)?'
_STEP = _pattern(
    rb'~(?:(?P<next>\}~\]~\}~,)|(?P<entry>\}~,)|(?P<none>,~"top_logprobs"~:~\[~\]~\}~,)|(?P<open>,~"top_logprobs"~:~\[))~', _ENTRY
)
_END = _pattern(rb'~(?:(?P<none>,~"top_logprobs"~:~\[~\]~\}~\])|\}~\]~\}~\])')
_BEGIN = _pattern(rb'(?<!\\)"logprobs"~:~(?:\{(?:~"refusal"~:~null~,)?~"content"~:~)?(?P<array>\[~', _ENTRY, rb")\Z")

_ALTERNATIVE, _NEXT, _OPEN, _NONE, _END_OF_LIST, _END_WITHOUT = range(6)
_KINDS = {"entry": _ALTERNATIVE, "next": _NEXT, "open": _OPEN, "none": _NONE}

_text = msgspec.json.Decoder(str)
_numbers = msgspec.json.Decoder(list[int] | None)
_values = msgspec.json.Decoder(list[float])


class _Layouts:
    """What was read once: `steps` by the text between two numbers, 8 times the place of the next token plus the kind of step."""

    def __init__(self) -> None:
        self.steps: dict[bytes, int] = {}
        self.tokens: list[bytes] = []
        self._places: dict[bytes, int] = {}
        self._lock = Lock()

    def learn(self, tail: bytes) -> int:
        """The step that a text is. Raises _OtherLayout."""
        step = _STEP.fullmatch(tail)
        if step is None:
            raise _OtherLayout
        kind = next(kind for name, kind in _KINDS.items() if step[name] is not None)
        found = self.steps[tail] = 8 * self.place(_token(step)) + kind
        return found

    def place(self, token: bytes) -> int:
        """The place of a token among `tokens`."""
        with self._lock:
            place = self._places.get(token)
            if place is None:
                place = self._places[token] = len(self.tokens)
                self.tokens.append(token)
            return place


_layouts = _Layouts()
_NONCE = token_hex(12)  # of this process: a file cannot hold it


@dataclass(frozen=True)
class Cut:
    """A record's text with a string in place of each array, and what the arrays said by the raw text of that string."""

    text: bytes
    found: dict[bytes, TokenLogprobs]


class _OtherLayout(Exception):
    pass


def cut(raw: bytes) -> Cut | None:
    """`raw` without its arrays `logprobs.content`; None where it has none, or one that is laid out in another way."""
    if b'"top_logprobs"' not in raw:
        return None
    parts = _SPLIT.split(raw)
    begin = _BEGIN.search(parts[0])
    if begin is None:
        return None
    try:
        return _cut(parts, begin)
    except (_OtherLayout, ValueError, Fault):  # whatever is wrong, the parser finds it and says so
        return None


def _cut(parts: list[bytes], begin: re.Match[bytes] | None) -> Cut:
    global _layouts
    if len(_layouts.steps) >= _MOST_KNOWN:
        _layouts = _Layouts()
    layouts = _layouts
    numbers, tails = parts[1::2], parts[2::2]
    steps = list(map(layouts.steps.get, tails))
    texts = [parts[0]]
    found: dict[bytes, TokenLogprobs] = {}
    start = place = 0
    for _ in range(steps.count(None)):
        place = steps.index(None, place) + 1
        tail = tails[place - 1]
        end = _END.match(tail)
        if end is None:
            steps[place - 1] = layouts.learn(tail)
            continue
        if begin is None:
            raise _OtherLayout
        mark = f'"{_NONCE}-{len(found)}"'.encode()
        last = _END_WITHOUT if end["none"] else _END_OF_LIST
        found[mark] = _array(layouts, _token(begin), steps[start : place - 1], last, numbers[start:place])
        texts[-1] = texts[-1][: begin.start("array")]
        texts += (mark, tail[end.end() :])
        start = place
        begin = _BEGIN.search(texts[-1])
    if start != len(tails):
        raise _OtherLayout
    return Cut(b"".join(texts), found)


def _array(layouts: _Layouts, first: bytes, steps: list[Any], last: int, numbers: list[bytes]) -> TokenLogprobs:
    """What one array says: `first` is its first token, `steps` lead from each entry to the next."""
    codes = np.array([8 * layouts.place(first), *steps, last], dtype=np.int64)
    kinds, tokens = codes[1:] & 7, codes[:-1] >> 3
    is_token = np.ones(len(kinds), dtype=bool)
    is_token[1:] = (kinds[:-1] == _NEXT) | (kinds[:-1] == _NONE)
    leaves_token = (kinds == _OPEN) | (kinds == _NONE) | (kinds == _END_WITHOUT)
    if not np.array_equal(is_token, leaves_token):
        raise _OtherLayout
    values = np.array(_values.decode(b"".join((b"[", b",".join(numbers), b"]"))))
    counts = np.diff(np.append(np.flatnonzero(is_token), len(kinds))) - 1
    return token_logprobs(
        Texts(tokens[is_token], layouts.tokens),
        values[is_token],
        counts,
        Texts(tokens[~is_token], layouts.tokens),
        values[~is_token],
    )


def _token(entry: re.Match[bytes]) -> bytes:
    text = _text.decode(entry["token"])
    if text.startswith("token_id:"):  # ids are for the parser
        raise _OtherLayout
    given = entry["bytes"]
    return text_bytes(text, None if given is None else _numbers.decode(given), "")
