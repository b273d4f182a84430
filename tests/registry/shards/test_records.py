"""The framing is a promise to outsiders: it is written here a second time, straight from DESIGN §6, and compared."""

from hashlib import sha256

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.shards.records import (
    Message,
    Record,
    content_ids,
    leaf_data,
    others_digest,
    prompt_id,
    record_id,
    record_leaf,
)
from inbond.schemas.columns import CONTENT_COLUMNS, OTHER_COLUMNS
from inbond.schemas.errors import InvalidInput


def framed(value):
    if value is None:
        return b"\x00"
    if isinstance(value, Message):
        return b"\x01" + framed(value.role) + framed(value.content)
    if isinstance(value, tuple):
        return b"\x01" + len(value).to_bytes(8, "big") + b"".join(framed(item) for item in value)
    body = str(value).encode()
    return b"\x01" + len(body).to_bytes(8, "big") + body


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ids_and_leaf_follow_the_framing(any_record, data):
    record, salt = data.draw(any_record), data.draw(st.binary(min_size=16, max_size=16))
    content = b"".join(framed(getattr(record, name)) for name in CONTENT_COLUMNS)
    assert record_id(record) == sha256(b"inbond-record-v1\n" + content).digest()
    if record.prompt is None:
        assert prompt_id(record) is None
    else:
        assert prompt_id(record) == sha256(b"inbond-prompt-v1\n" + framed(record.prompt)).digest()
    prompt = prompt_id(record)
    others = {name: getattr(record, name, None) for name in OTHER_COLUMNS} | {"prompt_id": prompt and prompt.hex()}
    digest = sha256(b"".join(framed(others[name]) for name in OTHER_COLUMNS)).digest()
    assert leaf_data(record, salt) == salt + record_id(record) + digest


def test_known_answer():
    record = Record((Message("user", "Say \u00e9."),), (), "\u00e9", refs=("a:1",), sample=3, created_at=-5)
    assert record_id(record).hex() == "3ba2d54dcc016540bcd580aeaa8f1f13d2719ac48d7e88ee494670f4eaf2bc8f"
    assert prompt_id(record).hex() == "f4fc392b798ce0a3b8f62ddee48901424a4ac356b027b09ebb0de2dd6d9b3077"
    assert sha256(leaf_data(record, bytes(16))).hexdigest() == "074d1ab0bd85262d946d056f507f95b29e7e9eee68585310fa238683d340953c"


def test_unknown_empty_and_neighbouring_values_are_told_apart():
    variants = [
        Record(None, (), ""),
        Record((), (), ""),
        Record((Message("", ""),), (), ""),
        Record((), (), "", reasoning=""),
        Record((), (), "", extra=""),
        Record((), (), "", label=""),
        Record((), (), "", refs=("",)),
        Record((Message("a", "b"),), (), ""),
        Record((Message("ab", ""),), (), ""),
        Record((Message("a", "b"),), (0,), ""),
    ]
    assert len({record_id(variant) for variant in variants}) == len(variants)


def test_the_record_id_is_of_content_alone_but_the_leaf_is_of_everything():
    plain = Record((), (), "yes")
    known = msgspec.structs.replace(plain, sample=1, request_id="r", created_at=0, prompt_tokens=0)
    assert content_ids(plain) == content_ids(known)
    prompt = prompt_id(plain)
    assert others_digest(plain, prompt) != others_digest(known, prompt)


@pytest.mark.parametrize("field", ["response", "extra", "label", "served_model", "sampling"])
def test_text_that_utf8_cannot_carry_is_refused(field):
    record = msgspec.structs.replace(Record((), (), ""), **{field: "\ud800"})
    with pytest.raises(InvalidInput, match="surrogate"):
        leaf_data(record, bytes(16))


def test_a_leaf_wants_a_salt_and_two_digests():
    with pytest.raises(InvalidInput, match="found 15, 32 and 32"):
        record_leaf(bytes(15), bytes(32), bytes(32))
