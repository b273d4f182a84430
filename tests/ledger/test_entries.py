from typing import Any

import msgspec
import pytest

from inbond.ledger import dsse
from inbond.ledger.entries import entry_bytes, parse_entry
from inbond.ledger.keys import SigningKey
from inbond.schemas.entry import GENESIS_PREV, MAX_ENTRY, Entry
from inbond.schemas.errors import InvalidInput, VerificationError

KEY = SigningKey.from_seed("key", bytes([1] * 32))
FIRST = Entry(dsse.sign(b"{}", [KEY]), "genesis", GENESIS_PREV, 0, "2026-01-31T23:59:59.000Z", 1)
SECOND = msgspec.structs.replace(FIRST, kind="shard", prev="ab" * 32, seq=1)


def test_entry_bytes_have_the_documented_form() -> None:
    signature = FIRST.dsse.signatures[0]
    assert entry_bytes(FIRST).decode() == (
        '{"dsse":{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":'
        f'[{{"keyid":"{signature.keyid}","sig":"{signature.sig}"}}]}},'
        f'"kind":"genesis","prev":"{"0" * 64}","seq":0,"time":"2026-01-31T23:59:59.000Z","v":1}}'
    )
    assert parse_entry(entry_bytes(SECOND)) == SECOND


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 0},
        {"prev": GENESIS_PREV},
        {"prev": "ab" * 32 + "\n"},
        {"prev": "AB" * 32},
        {"kind": "Shard"},
        {"kind": "shard\n"},
        {"kind": ""},
        {"seq": -1},
        {"seq": 2**53},
        {"v": 2},
        {"time": "2026-02-30T00:00:00.000Z"},
        {"time": "2026-01-31T24:00:01.000Z"},
        {"time": "2026-01-31T23:59:59Z"},
        {"time": "2026-01-31T23:59:59.000+00:00"},
        {"time": "2026-01-31T23:59:59.000Z\n"},
        {"time": "٢026-01-31T23:59:59.000Z"},
        {"dsse": msgspec.structs.replace(FIRST.dsse, signatures=())},
        {"dsse": msgspec.structs.replace(FIRST.dsse, signatures=FIRST.dsse.signatures * 17)},
        {"dsse": msgspec.structs.replace(FIRST.dsse, payload="A" * MAX_ENTRY)},
    ],
)
def test_entries_out_of_form_are_neither_written_nor_read(changes: dict[str, Any]) -> None:
    entry = msgspec.structs.replace(SECOND, **changes)
    with pytest.raises(InvalidInput):
        entry_bytes(entry)
    with pytest.raises(VerificationError):
        parse_entry(msgspec.json.encode(entry, order="sorted"))


def test_a_key_id_with_a_newline_is_refused() -> None:
    (signature,) = SECOND.dsse.signatures
    loose = msgspec.structs.replace(signature, keyid=signature.keyid + "\n")
    entry = msgspec.structs.replace(SECOND, dsse=msgspec.structs.replace(SECOND.dsse, signatures=(loose,)))
    with pytest.raises(InvalidInput, match="key"):
        entry_bytes(entry)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"dsse"', b'{ "dsse"'),
        (b'"v":1}', b'"v":1}\n'),
        (b'"v":1}', b'"v":1.0}'),
        (b'"seq":1,', b'"seq":01,'),
        (b'"kind":"shard","prev"', b'"kind":"\\u0073hard","prev"'),
        (b'"v":1}', b'"v":1,"w":1}'),
        (b'"v":1}', b'"v":1,"v":1}'),
        (b'"seq":1,', b""),
    ],
)
def test_other_spellings_of_the_same_entry_are_refused(old: bytes, new: bytes) -> None:
    data = entry_bytes(SECOND)
    assert old in data
    with pytest.raises(VerificationError, match="entry"):
        parse_entry(data.replace(old, new))
