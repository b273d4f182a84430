from contextlib import suppress

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inbond.registry.shards import proofs
from inbond.registry.shards.writer import write_shard
from inbond.registry.stores.folder import FolderStore
from inbond.schemas.canonical import decode, encode
from inbond.schemas.errors import InbondError, InvalidInput, VerificationError


@pytest.mark.parametrize("row", [0, 1, 4_095, 4_096, 9_999])
def test_a_record_is_shown_without_the_others(shard, letters, reader_of, row):
    store, written = shard
    with reader_of(store, written) as reader:
        data = proofs.prove(reader, row)
    assert proofs.check(data, written.record_root, 10_000) == letters[row]
    proof = proofs.read(data)
    assert (proof.row, proof.rows, proof.shard) == (row, 10_000, written.digest)
    assert len(data) < 2_500


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_record_of_any_shard_can_be_shown(tmp_path_factory, any_record, reader_of, data):
    store = FolderStore(tmp_path_factory.getbasetemp() / "proofs")
    records = data.draw(st.lists(any_record, min_size=1, max_size=5))
    written = write_shard(store, records)
    with reader_of(store, written) as reader:
        for row, record in enumerate(records):
            assert proofs.check(proofs.prove(reader, row), written.record_root, len(records)) == record


@pytest.fixture(scope="module")
def proof(shard, reader_of):
    """(fields of a true proof, its root)."""
    store, written = shard
    with reader_of(store, written) as reader:
        return decode(proofs.prove(reader, 4_321)), written.record_root


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("row", 4_320),
        ("salt", "0" * 31 + "1"),
        ("proof", []),
        ("proof", ["0" * 64] * 14),
        ("rows", 10_001),
    ],
)
def test_another_row_salt_or_path_proves_nothing(proof, field, value):
    fields, root = proof
    with pytest.raises(VerificationError, match="record proof"):
        proofs.check(encode(fields | {field: value}), root, 10_000)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("response", "no"),
        ("prompt", None),
        ("prompt", []),
        ("label", ""),
        ("sample", 1),
        ("created_at", 4_322),
        ("kind", "scored"),
        ("input_ids", []),
        ("subject_refs", []),
    ],
)
def test_no_column_of_the_record_can_be_altered(proof, column, value):
    fields, root = proof
    with pytest.raises(VerificationError, match="record proof, row 4321"):
        proofs.check(encode(fields | {"record": fields["record"] | {column: value}}), root, 10_000)


def test_a_true_proof_under_another_root_or_size_is_refused(proof):
    fields, root = proof
    with pytest.raises(VerificationError, match="record proof, row 4321"):
        proofs.check(encode(fields), "0" * 64, 10_000)
    with pytest.raises(VerificationError, match="expected a shard of 10001 records, found 10000"):
        proofs.check(encode(fields), root, 10_001)


def test_unknown_missing_and_uncanonical_fields_are_refused(proof):
    fields, root = proof
    without = {name: value for name, value in fields["record"].items() if name != "sampling"}
    for data in (
        encode(fields | {"more": 1}),
        encode(fields | {"record": without}),
        encode(fields | {"record": fields["record"] | {"more": 1}}),
        encode(fields | {"v": 2}),
        encode({name: value for name, value in fields.items() if name != "salt"}),
        msgspec.json.format(encode(fields)),
        encode(fields) + b"\n",
    ):
        with pytest.raises(InvalidInput, match="record proof"):
            proofs.check(data, root, 10_000)


def test_a_row_that_the_shard_does_not_have_is_refused(shard, reader_of):
    with reader_of(*shard) as reader:
        for row in (-1, 10_000):
            with pytest.raises(InvalidInput, match=rf"expected a row within \[0, 10000\), found {row}"):
                proofs.prove(reader, row)


def test_no_proof_comes_out_of_a_shard_whose_root_is_another(shard, reader_of):
    with reader_of(*shard, record_root="0" * 64) as reader, pytest.raises(VerificationError, match="record root"):
        proofs.prove(reader, 3)


@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=80), at=st.integers(0, 10**6), byte=st.integers(0, 255))
@example(data=b"", at=0, byte=0)
def test_only_our_errors_come_out(proof, data, at, byte):
    fields, root = proof
    whole = bytearray(encode(fields))
    whole[at % len(whole)] = byte
    for nonsense in (data, bytes(whole)):
        with suppress(InbondError):
            proofs.check(nonsense, root, 10_000)
            # What is accepted differs at most in the shard's digest, which is not proved, as `RecordProof` says.
            assert decode(nonsense) | {"shard": fields["shard"]} == fields
