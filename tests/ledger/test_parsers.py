"""Every parser of the ledger: it accepts only what re-encodes to the same bytes, and raises only our errors."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import checkpoints, dsse, notes, receipts
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.encoding import from_base64, from_decimal, to_base64
from inbond.ledger.entries import entry_bytes, parse_entry
from inbond.ledger.keys import COSIGNATURE_V1, SigningKey, VerifierKey
from inbond.ledger.merkle import CompactRange, leaf_hash
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.receipts import Receipt
from inbond.ledger.tiles import decode_bundle, encode_bundle, parse_path
from inbond.schemas.entry import GENESIS_PREV, MAX_PAYLOAD, Entry, Envelope, Signature
from inbond.schemas.errors import InbondError

KEY = SigningKey.from_seed("example.com/log", bytes(range(32)))
COSIGNER = VerifierKey("w.example", COSIGNATURE_V1, KEY.public.raw)
CHECKPOINT = checkpoints.sign(Checkpoint("example.com/log", 1234, bytes(range(32))), [KEY])
RECEIPT = Receipt(3, (bytes(32), bytes(range(32))), CHECKPOINT, b"extra").to_bytes()
ENTRY = entry_bytes(Entry(dsse.sign(b"{}", [KEY]), "genesis", GENESIS_PREV, 0, "2026-01-31T23:59:59.000Z", 1))
POLICY = f"log {KEY.verifier.format()}\nwitness w {COSIGNER.format()}\nquorum w\n"


def text(parse: Callable[[str], str]) -> Callable[[bytes], bytes]:
    """A parser of bytes out of one of texts."""

    def parse_bytes(data: bytes) -> bytes:
        decoded = data.decode(errors="surrogateescape")
        return parse(decoded).encode(errors="surrogateescape")

    return parse_bytes


def policy(data: bytes) -> bytes:
    """A policy may be spaced freely, so its law is that what was read reads the same again when it is written."""
    read = TrustPolicy.parse(data)
    assert TrustPolicy.parse(read.format()) == read
    return data


def compact_range(data: bytes) -> bytes:
    return CompactRange.from_bytes(5, data).to_bytes()


def payload(data: str) -> str:
    return to_base64(dsse.payload_of(Envelope(data, "t", (Signature("", ""),))))


PARSERS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "base64": (b"YWJjZA==", text(lambda value: to_base64(from_base64(value, "x")))),
    "decimal": (b"1234", text(lambda value: str(from_decimal(value, "x")))),
    "path": (b"tile/0/x001/234.p/5", text(lambda value: parse_path(value).path)),
    "bundle": (encode_bundle([b"one", b"", b"three"]), lambda data: encode_bundle(decode_bundle(data))),
    "compact range": (leaf_hash(b"a") + leaf_hash(b"b"), compact_range),
    "verifier key": (KEY.verifier.format().encode(), text(lambda value: VerifierKey.parse(value).format())),
    "signing key": (KEY.to_text().encode(), text(lambda value: SigningKey.from_text(value).to_text())),
    "note": (CHECKPOINT, lambda data: notes.parse(data).to_bytes()),
    "checkpoint": (CHECKPOINT.partition(b"\n\n")[0] + b"\n", lambda data: checkpoints.parse(data).text()),
    "payload": (b"YWJjZA==", text(payload)),
    "entry": (ENTRY, lambda data: entry_bytes(parse_entry(data))),
    "receipt": (RECEIPT, lambda data: receipts.parse(data).to_bytes()),
    "policy": (POLICY.encode(), policy),
}


@st.composite
def altered(draw: st.DrawFn, valid: bytes) -> bytes:
    """`valid` with some bytes replaced, removed, inserted or repeated; seldom something else altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=80))
    data = valid
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 4)))
        new = draw(
            st.one_of(st.binary(max_size=3), st.sampled_from([b"", b"\n", b"\n\n", b" ", b"0", b"=", data[start:end] * 2]))
        )
        data = data[:start] + new + data[end:]
    return data


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_accepts_only_what_it_writes_and_raises_only_our_errors(name: str) -> None:
    valid, again = PARSERS[name]
    assert again(valid) == valid

    @settings(max_examples=80, deadline=None, database=None)
    @given(altered(valid))
    def fuzz(data: bytes) -> None:
        try:
            written = again(data)
        except InbondError:
            return
        assert written == data

    fuzz()


def test_payloads_are_bounded_before_they_are_decoded() -> None:
    with pytest.raises(InbondError, match=f"at most {MAX_PAYLOAD}"):
        payload("!" * 100_000)
