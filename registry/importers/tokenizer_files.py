"""Which bytes each token id stands for, out of a tokenizer's file.

`tokenizer.json` (Hugging Face tokenizers): BPE with the byte-level alphabet of GPT-2, or BPE and Unigram in the manner of
SentencePiece, where U+2581 is a space and `<0xNN>` a byte. `*.tiktoken`: a line for each token, its bytes in base64 and its id.
"""

import os
import re
from base64 import b64decode
from binascii import Error as Base64Error
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from inbond.schemas.errors import InvalidInput, NotFound, StoreError

MAX_FILE = 256 << 20
_MAX_ID = 2**31

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_TIKTOKEN = re.compile(rb"([A-Za-z0-9+/]+={0,2}) ([0-9]{1,10})")


class TokenBytes(NamedTuple):
    """`every` token as (bytes, id), ids below `size`; `ids` has the usual one of several with the same bytes."""

    digest: str
    size: int
    ids: dict[bytes, int]
    every: list[tuple[bytes, int]]


def read_tokenizer(path: str | os.PathLike[str]) -> TokenBytes:
    """The tokens of the file. Raises InvalidInput for a file of another kind, NotFound for none."""
    name = os.fspath(path)
    try:
        file = Path(name)
        if file.is_file() and file.stat().st_size > MAX_FILE:
            raise InvalidInput(f"{name}: expected a tokenizer file of at most {MAX_FILE} bytes, found {file.stat().st_size}")
        data = file.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"expected a tokenizer file, found nothing at {name}") from None
    except IsADirectoryError:
        raise InvalidInput(f"expected a tokenizer file, found a folder: {name}", hint=f"{name}/tokenizer.json") from None
    except OSError as error:
        raise StoreError(f"reading {name} failed: {error}") from error
    pairs = _of_json(name, data) if data.lstrip()[:1] == b"{" else _of_tiktoken(name, data)
    ids: dict[bytes, int] = {}
    for token, number in pairs:
        ids.setdefault(token, number)
    if not ids:
        raise InvalidInput(f"{name}: expected a tokenizer with tokens, found none")
    size = max(number for _, number in pairs) + 1
    return TokenBytes(f"sha256:{sha256(data).hexdigest()}", size, ids, pairs)


class _Added(msgspec.Struct):
    id: int
    content: str


class _Model(msgspec.Struct):
    vocab: dict[str, int] | list[tuple[str, float]]
    type: str | None = None
    byte_fallback: bool = False


class _File(msgspec.Struct):
    model: _Model
    added_tokens: list[_Added] = []
    normalizer: Any = None
    pre_tokenizer: Any = None
    decoder: Any = None


_file = msgspec.json.Decoder(_File)


def _of_json(name: str, data: bytes) -> list[tuple[bytes, int]]:
    """(bytes, id) of each token, the one that is meant first among those of the same bytes."""
    try:
        file = _file.decode(data)
    except (ValueError, RecursionError) as error:  # of msgspec and UTF-8
        raise InvalidInput(f"{name}: expected a tokenizer.json with model.vocab, found something else ({error})") from None
    vocab = file.model.vocab
    pieces = list(vocab.items()) if isinstance(vocab, dict) else [(piece, place) for place, (piece, _) in enumerate(vocab)]
    for piece, number in [*pieces, *((added.content, added.id) for added in file.added_tokens)]:
        if not 0 <= number < _MAX_ID:
            raise InvalidInput(f"{name}: expected token ids from 0 to {_MAX_ID - 1}, found {number} for {piece!r}")
    added = {token.id for token in file.added_tokens}
    plain = [(piece, number) for piece, number in pieces if number not in added]
    if _names(file.decoder, "ByteLevel") or _names(file.pre_tokenizer, "ByteLevel"):
        found = _byte_level(name, plain)
    elif file.model.byte_fallback or "\u2581" in _texts(file.decoder) | _texts(file.normalizer) | _texts(file.pre_tokenizer):
        found = _sentence_pieces(plain)
    else:
        raise InvalidInput(
            f"{name}: expected a tokenizer with a byte-level alphabet or in the manner of SentencePiece, "
            f"found a {file.model.type or 'nameless'} model of neither kind",
            hint="Its tokens do not tell their bytes; without a tokenizer a table of the texts keeps them whole.",
        )
    return found + [(token.content.encode(errors="surrogatepass"), token.id) for token in file.added_tokens]


def _byte_level(name: str, pieces: list[tuple[str, int]]) -> list[tuple[bytes, int]]:
    found = []
    for piece, number in pieces:
        try:
            found.append((bytes([_ALPHABET[letter] for letter in piece]), number))
        except KeyError as letter:
            raise InvalidInput(f"{name}, token {number}: expected letters of the byte-level alphabet, found {letter}") from None
    return found


def _sentence_pieces(pieces: list[tuple[str, int]]) -> list[tuple[bytes, int]]:
    found, fallbacks = [], []
    for piece, number in pieces:
        if byte := _BYTE.fullmatch(piece):
            fallbacks.append((bytes([int(byte[1], 16)]), number))
        else:
            found.append((piece.replace("\u2581", " ").encode(errors="surrogatepass"), number))
    return found + fallbacks  # a byte is written as a fallback only where no piece has it


def _of_tiktoken(name: str, data: bytes) -> list[tuple[bytes, int]]:
    found = []
    for place, line in enumerate(data.splitlines(), 1):
        match = _TIKTOKEN.fullmatch(line)
        try:
            if match is None:
                raise ValueError
            found.append((b64decode(match[1], validate=True), int(match[2])))
        except (ValueError, Base64Error):
            raise InvalidInput(
                f"{name}, line {place}: expected a tokenizer.json, or lines of a token in base64 and its id, found {line[:40]!r}"
            ) from None
    return found


def _names(part: Any, kind: str) -> bool:
    """Whether a component, or one of a sequence of them, is of this type."""
    if isinstance(part, dict):
        return part.get("type") == kind or any(_names(value, kind) for value in part.values())
    return isinstance(part, list) and any(_names(value, kind) for value in part)


def _texts(part: Any) -> set[str]:
    if isinstance(part, str):
        return {part}
    values = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return set[str]().union(*map(_texts, values))


def _alphabet() -> dict[str, int]:
    """The letters for bytes of GPT-2: printable Latin-1 stands for itself, the others for U+0100 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


_ALPHABET = _alphabet()
