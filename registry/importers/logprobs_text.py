"""Taking long arrays of log-probabilities out of a record's text before it is parsed.

A thousand tokens with twenty alternatives each are two megabytes of JSON, which a parser that goes down into a record
level by level reads five times. In the layout that the chat interfaces write, `{"token": …, "bytes": …, "logprob": …}`, what
stands between the comma behind a number and the next number is one of a few thousand texts: the beginning of an entry. Each is
read once and known from then on. Between a number and its comma are the brackets that close entries, which all numbers of an
array have compared at once. A text of another layout is left to the parser, and both ways give the same.
"""

import re
from dataclasses import dataclass
from itertools import repeat
from secrets import token_hex
from threading import Lock

import msgspec
import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.fields import Fault
from inbond.registry.importers.observed import TokenLogprobs, token_logprobs
from inbond.registry.importers.texts import Texts
from inbond.registry.importers.token_entries import text_bytes

_MOST_KNOWN = 400_000

# A number and its brackets are far shorter; without a bound, text without commas would be gone through again and again.
_SPLIT = re.compile(rb'"logprob":([^,]{1,250}),')


def _pattern(*parts: bytes) -> re.Pattern[bytes]:
    """A pattern in which ~ is white space."""
    return re.compile(b"".join(parts).replace(b"~", rb"[ \t\r\n]*"))


_ENTRY = rb'\{~"token"~:~(?P<token>"(?:[^"\\]|\\.)*")~,~(?:"bytes"~:~(?P<bytes>\[[0-9, \t\r\n]*\]|null)~,~)?'
_STEP = _pattern(rb'~(?:(?P<none>"top_logprobs"~:~\[~\]~\}~,~)|(?P<open>"top_logprobs"~:~\[~))?', _ENTRY)
_END = _pattern(
    rb"~(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)",
    rb'~(?:(?P<none>,~"top_logprobs"~:~\[~\]~\}~\])|\}~\]~\}~\])',
)
_BEGIN = _pattern(rb'(?<!\\)"logprobs"~:~(?:\{(?:~"refusal"~:~null~,)?~"content"~:~)?(?P<array>\[~', _ENTRY, rb")\Z")

_ALTERNATIVE, _OPEN, _NONE = range(3)
"""What a number belongs to: an alternative, a token whose alternatives follow, a token without any."""

_UNKNOWN = -1

_NUMBER = b"+-.0123456789eE"
_WHITE = b" \t\r\n"
_BLANK = bytes.maketrans(b"]}", b"  ")

_text = msgspec.json.Decoder(str)
_numbers = msgspec.json.Decoder(list[int] | None)
_values = msgspec.json.Decoder(list[float])


class _Layouts:
    """What was read once: `steps` by the text from a comma to the next number, 4 times the place of the token plus the kind."""

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
        kind = _OPEN if step["open"] is not None else _NONE if step["none"] is not None else _ALTERNATIVE
        found = self.steps[tail] = 4 * self.place(_token(step)) + kind
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
    steps = np.fromiter(map(layouts.steps.get, tails, repeat(_UNKNOWN)), np.int64, len(tails))
    texts = [parts[0]]
    found: dict[bytes, TokenLogprobs] = {}
    start = 0
    for place in np.flatnonzero(steps == _UNKNOWN).tolist():
        text = b",".join((numbers[place], tails[place]))
        end = _END.match(text)
        if end is None:
            steps[place] = layouts.learn(tails[place])
            continue
        if begin is None:
            raise _OtherLayout
        mark = f'"{_NONCE}-{len(found)}"'.encode()
        numbers[place], steps[place] = end["number"], _NONE if end["none"] else _ALTERNATIVE
        found[mark] = _array(layouts, _token(begin), steps[start : place + 1], numbers[start : place + 1])
        texts[-1] = texts[-1][: begin.start("array")]
        texts += (mark, text[end.end() :])
        start = place + 1
        begin = _BEGIN.search(texts[-1])
    if start != len(tails):
        raise _OtherLayout
    return Cut(b"".join(texts), found)


def _array(layouts: _Layouts, first: bytes, steps: NDArray[np.int64], numbers: list[bytes]) -> TokenLogprobs:
    """What one array says: `first` is its first token, `steps` say what each number belongs to and which token comes next.

    `numbers` come with the brackets that close entries behind them, but for the last, which has none.
    """
    kinds, tokens = steps & 3, np.append(layouts.place(first), steps[:-1] >> 2)
    values = np.array(_read_numbers(numbers, kinds))
    is_token = kinds != _ALTERNATIVE
    counts = np.diff(np.append(np.flatnonzero(is_token), len(kinds))) - 1
    return token_logprobs(
        Texts(tokens[is_token], layouts.tokens),
        values[is_token],
        counts,
        Texts(tokens[~is_token], layouts.tokens),
        values[~is_token],
    )


def _read_numbers(numbers: list[bytes], kinds: NDArray[np.int64]) -> list[float]:
    """The values. Raises _OtherLayout, or ValueError, unless each number is closed as what it and the next belong to demand."""
    is_token = kinds != _ALTERNATIVE
    opens = kinds[:-1] == _OPEN
    if not is_token[0] or bool((is_token[:-1] & (is_token[1:] == opens)).any()):
        raise _OtherLayout
    # `}` behind an alternative, `}]}` (here as |) behind the last one of a token; no white space matters.
    shapes = np.full((len(kinds), 2), ord(","), dtype=np.uint8)
    shapes[:-1, 1] = np.where(is_token[:-1], 0, np.where(is_token[1:], ord("|"), ord("}")))
    shapes[-1, 1] = 0
    joined = b",".join(numbers)
    compact = (b"," + joined).translate(None, _WHITE)
    if b",}" in compact or compact.translate(None, _NUMBER).replace(b"}]}", b"|") != shapes[shapes > 0].tobytes():
        raise _OtherLayout
    # A bracket within a number leaves two, which is no JSON.
    return _values.decode(b"[" + joined.translate(_BLANK) + b"]")


def _token(entry: re.Match[bytes]) -> bytes:
    text = _text.decode(entry["token"])
    if text.startswith("token_id:"):  # ids are for the parser
        raise _OtherLayout
    given = entry["bytes"]
    return text_bytes(text, None if given is None else _numbers.decode(given), "")
