import contextlib
import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.schemas import canonical, statement
from inbond.schemas.entry import MAX_PAYLOAD
from inbond.schemas.errors import InvalidInput
from inbond.schemas.kinds import KINDS
from tests.schemas import examples
from tests.schemas.examples import BODIES, VARIANTS, digest, header, hex32, payload

PAYLOADS = [payload(key.partition("/")[0], body) for key, body in VARIANTS.items()]


def refused_or_exact(data: bytes) -> None:
    """The law of reading: InvalidInput, or a statement that is written as the very same bytes."""
    try:
        found = statement.read(data)
    except InvalidInput:
        return
    assert statement.make(found.kind, found.body, found.header) == data


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes(data):
    refused_or_exact(data)
    refused_or_exact(b'{"_type":"https://in-toto.io/Statement/v1","predicate":' + data)
    refused_or_exact(data + b',"predicateType":"urn:inbond:ack:v1","subject":[]}')


@given(st.sampled_from(PAYLOADS), st.data())
@settings(max_examples=500, deadline=None)
def test_mutated_payloads(original, data):
    at = data.draw(st.integers(0, len(original) - 1))
    end = at + data.draw(st.integers(0, 4))
    refused_or_exact(original[:at] + data.draw(st.binary(max_size=4)) + original[end:])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["2026-11-21", digest("x")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(PAYLOADS), json_values, st.data())
@settings(max_examples=500, deadline=None)
def test_statements_with_another_value_somewhere(original, value, data):
    tree = msgspec.json.decode(original)
    node, step = tree, "predicate"
    while isinstance(node[step], dict | list) and node[step] and data.draw(st.integers(0, 4)):
        node = node[step]
        step = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
    node[step] = value
    predicate = msgspec.json.encode(tree["predicate"], order="sorted")
    if KINDS[tree["subject"][0]["name"]].subject is None:
        tree["subject"][0]["digest"]["sha256"] = hashlib.sha256(predicate).hexdigest()
    refused_or_exact(msgspec.json.encode(tree, order="sorted"))


@given(st.sampled_from([key for key in BODIES if KINDS[key.partition(".")[0]].subject is None]), st.data())
@settings(max_examples=100, deadline=None)
def test_one_flipped_bit_is_always_refused(key, data):
    # Each byte is under the digest of the predicate, or has only one right value.
    original = payload(key)
    at = data.draw(st.integers(0, len(original) - 1))
    flipped = original[at] ^ (1 << data.draw(st.integers(0, 7)))
    with pytest.raises(InvalidInput):
        statement.read(original[:at] + bytes([flipped]) + original[at + 1 :])


def test_the_bytes_are_an_in_toto_statement():
    data = payload("teacher")
    predicate = data.partition(b'"predicate":')[2].partition(b',"predicateType"')[0]
    assert msgspec.json.decode(data) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "teacher", "digest": {"sha256": hashlib.sha256(predicate).hexdigest()}}],
        "predicateType": "urn:inbond:teacher:v1",
        "predicate": msgspec.json.decode(predicate),
    }
    found = statement.read(payload("shard"))
    assert (found.subject_name, "sha256:" + found.subject_digest) == ("shard", BODIES["shard"].file)


@pytest.mark.parametrize("key", ["teacher", "shard", "dataset", "grant", "release", "recall", "erasure", "report"])
def test_a_subject_that_is_not_the_kinds_is_refused(key):
    with pytest.raises(InvalidInput, match=r"expected subject digest [0-9a-f]{64}, the (SHA-256|digest) of"):
        statement.make(key, BODIES[key], header(), hex32("something else"))
    with pytest.raises(InvalidInput, match=r"sha256"):
        statement.make(key, BODIES[key], header(), "SHA")


def _edited(key: str, edit: Any) -> bytes:
    tree = msgspec.json.decode(payload(key))
    edit(tree)
    return msgspec.json.encode(tree, order="sorted")


@pytest.mark.parametrize(
    "edit",
    [
        lambda tree: tree["subject"].append(tree["subject"][0]),
        lambda tree: tree["subject"].clear(),
        lambda tree: tree["subject"][0].update(name="teacher"),
        lambda tree: tree["subject"][0]["digest"].update(sha512="00"),
        lambda tree: tree["subject"][0]["digest"].clear(),
        lambda tree: tree.update(predicateType="urn:inbond:teacher:v1"),
        lambda tree: tree.update(predicateType="urn:inbond:party:v2"),
        lambda tree: tree.update(predicateType=7),
        lambda tree: tree.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda tree: tree.update(predicate=None),
        lambda tree: tree["predicate"].update(body=[]),
        lambda tree: tree.clear(),
    ],
)
def test_the_frame_is_exact(edit):
    with pytest.raises(InvalidInput):
        statement.read(_edited("party", edit))


def test_a_kind_named_inside_the_predicate_does_not_count():
    decoy = '","predicateType":"urn:inbond:ack:v1","subject":[{"digest"'
    body = msgspec.structs.replace(BODIES["party"], aliases=(decoy,))
    assert statement.read(payload("party", body)).body.aliases == (decoy,)


def test_an_unknown_kind_is_named():
    with pytest.raises(InvalidInput, match=r"expected predicateType urn:inbond:<kind>:v1 .* found 'urn:inbond:gift:v1'"):
        statement.read(payload("ack").replace(b":ack:v1", b":gift:v1"))
    with pytest.raises(InvalidInput, match=r"found 'gift'"):
        statement.make("gift", BODIES["ack"], header())


def test_a_body_belongs_to_its_kind():
    with pytest.raises(InvalidInput, match=r"run statement: expected a body of type RunOpen or RunClose, found Ack"):
        statement.make("run", BODIES["ack"], header())


@pytest.mark.parametrize(
    ("key", "changes", "named"),
    [
        ("shard", {"file": 7}, "file"),
        ("shard", {"file": "sha256:short"}, "file"),
        ("dataset", {"parts": "sha256:"}, "parts"),
        ("shard", {"rows": 1.5}, "floating-point"),
        ("party", {"aliases": "deepseek"}, "aliases"),
        ("consume", {"columns": "everything"}, "columns"),
        ("student", {"id": None}, "id"),
    ],
)
def test_a_body_of_wrong_types_is_not_written(key, changes, named):
    with pytest.raises(InvalidInput, match=named):
        statement.make(key, msgspec.structs.replace(BODIES[key], **changes), header())
    with pytest.raises(InvalidInput, match=r"visibility"):
        statement.make(key, BODIES[key], header(visibility="secret"))


def test_a_payload_has_room_in_an_entry():
    line = "x" * 512
    long = msgspec.structs.replace(BODIES["party"], aliases=(line,) * 64)
    assert len(payload("party", long)) < MAX_PAYLOAD
    wide = msgspec.structs.replace(BODIES["party"], aliases=("€" * 512,) * 64)
    with pytest.raises(InvalidInput, match=rf"at most {MAX_PAYLOAD} bytes"):
        payload("party", wide)


def test_references_are_split_and_refused():
    reference = statement.ref("terms_fact", "ab" * 16)
    assert statement.split_ref(reference) == ("terms_fact", "ab" * 16)
    for bad in ("", "shard", "shard:", "shard:" + "AB" * 16, "gift:" + "ab" * 16, reference + ":7", reference + "\n"):
        with pytest.raises(InvalidInput, match=r"expected a reference"):
            statement.split_ref(bad)


def test_the_digest_of_a_plan_is_over_its_canonical_json():
    plan = BODIES["run.open"].plan
    assert statement.digest_of(plan) == "sha256:" + hashlib.sha256(canonical.encode(plan)).hexdigest()
    assert statement.digest_of({"b": 1, "a": 2}) == "sha256:" + hashlib.sha256(b'{"a":2,"b":1}').hexdigest()


def test_headers_of_first_statements_have_seen_nothing():
    assert statement.read(payload("genesis", seen=None)).header.seen is None
    assert examples.ORIGIN in payload("genesis", seen=None).decode()


@given(st.sampled_from(PAYLOADS), st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_read_is_what_was_claimed(original, data):
    at = data.draw(st.integers(0, len(original) - 1))
    mutated = original[:at] + data.draw(st.binary(max_size=2)) + original[at + data.draw(st.integers(0, 2)) :]
    for each in (original, mutated):
        try:
            found = statement.read(each)
        except InvalidInput:
            with contextlib.suppress(InvalidInput):
                statement.claimed(each)
        else:
            assert statement.claimed(each) == (found.kind, found.ref)
