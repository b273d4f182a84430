import base64
import json
from pathlib import Path
from typing import Any

import pytest

from inbond.registry.importers import tokenizer_files
from inbond.registry.importers.tokenizer_files import read_tokenizer
from inbond.registry.importers.vocabulary import Tokenizer
from inbond.schemas.errors import InvalidInput, NotFound


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_letters_of_the_byte_level_alphabet_are_bytes(tmp_path: Path) -> None:
    vocab = {"Ġthe": 0, "Ċ": 1, "é": 2, "Ã©": 3, "âĢ": 4, "!": 5, "<|end|>": 7}
    added = [{"id": 7, "content": "<|end|>", "special": True}, {"id": 9, "content": "é!", "special": False}]
    path = write(
        tmp_path / "t.json", {"model": {"type": "BPE", "vocab": vocab}, "added_tokens": added, "decoder": {"type": "ByteLevel"}}
    )
    found = read_tokenizer(path)
    assert found.ids == {
        b" the": 0,
        b"\n": 1,
        b"\xe9": 2,
        "é".encode(): 3,
        b"\xe2\x80": 4,
        b"!": 5,
        b"<|end|>": 7,
        "é!".encode(): 9,
    }
    assert found.size == 10
    assert Tokenizer.read(path).digest == found.digest
    before = {"type": "Sequence", "pretokenizers": [{"type": "Split"}, {"type": "ByteLevel"}]}
    assert read_tokenizer(write(tmp_path / "u.json", {"model": {"vocab": {"Ġ": 0}}, "pre_tokenizer": before})).ids == {b" ": 0}


def test_pieces_have_a_sign_for_spaces_and_bytes(tmp_path: Path) -> None:
    vocab = {"<unk>": 0, "<0x41>": 1, "<0xE2>": 2, "▁the": 3, "A": 4}
    path = write(tmp_path / "t.json", {"model": {"type": "BPE", "byte_fallback": True, "vocab": vocab}})
    assert read_tokenizer(path).ids == {b"<unk>": 0, b" the": 3, b"A": 4, b"\xe2": 2}
    unigram = {
        "model": {"type": "Unigram", "vocab": [["<s>", 0.0], ["▁a", -1.5]]},
        "decoder": {"type": "Metaspace", "replacement": "▁"},
    }
    assert read_tokenizer(write(tmp_path / "u.json", unigram)).ids == {b"<s>": 0, b" a": 1}


def test_lines_of_base64_are_read(tmp_path: Path) -> None:
    path = tmp_path / "o200k_base.tiktoken"
    path.write_bytes(
        b"".join(base64.b64encode(token) + b" %d\n" % number for number, token in enumerate((b"!", b"\xe2\x80", b" a")))
    )
    assert read_tokenizer(path).ids == {b"!": 0, b"\xe2\x80": 1, b" a": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"type": "WordPiece", "vocab": {"##a": 0}}}, "found a WordPiece model of neither kind"),
        (
            {"model": {"vocab": {"a b": 0}}, "decoder": {"type": "ByteLevel"}},
            "token 0: expected letters of the byte-level alphabet",
        ),
        ({"model": {"vocab": {"a": -1}}, "decoder": {"type": "ByteLevel"}}, "expected token ids from 0 to 2147483647, found -1"),
        ({"model": {"vocab": {}}, "decoder": {"type": "ByteLevel"}}, "expected a tokenizer with tokens, found none"),
        ({"vocab": {}}, "expected a tokenizer.json with model.vocab"),
        ("IQ==", "line 1: expected a tokenizer.json, or lines of a token in base64"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_tokenizer(write(tmp_path / "t.json", content))


def test_no_file_and_too_large_a_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="nothing at"):
        read_tokenizer(tmp_path / "absent")
    with pytest.raises(InvalidInput, match="found a folder"):
        read_tokenizer(tmp_path)
    monkeypatch.setattr(tokenizer_files, "MAX_FILE", 3)
    with pytest.raises(InvalidInput, match="expected a tokenizer file of at most 3 bytes, found 4"):
        read_tokenizer(write(tmp_path / "t.json", "ab"))
