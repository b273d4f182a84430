"""The traps that other people's ledgers fell into, and what holds us back from each.

`HELD` names the tests that fail when a trap is walked into; whoever renames one hears of it here. Those without a test
elsewhere are below. `NOT_BUILT` are traps of things that this ledger does not have yet: they get their tests when it does.
"""

import ast
import fcntl
import os
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
import pytest

from inbond.ledger import merkle
from inbond.ledger.cosigning import Witness
from inbond.ledger.keys import ML_DSA_44, VerifierKey
from inbond.ledger.notes import NoteSignature
from inbond.ledger.witness_state import WitnessState
from inbond.schemas.errors import Conflict, InbondError, VerificationError
from tests.ledger.witnessed import COSIGNER, KNOWN, NOW, PlainLog
from tests.ledger.world import World

ROOT = Path(__file__).resolve().parents[2]

HELD = {
    "a chain beside the tree": [
        "tests/ledger/test_traps.py::test_chain_and_tree_commit_to_the_same_bytes",
        "tests/ledger/test_machine.py::Machine",
    ],
    "extension lines": ["tests/ledger/test_checkpoints.py::test_other_texts_are_no_checkpoint"],
    "identity from the answer instead of the policy": [
        "tests/ledger/test_receipts.py::test_a_log_that_the_policy_does_not_name_is_refused",
        "tests/ledger/test_policy.py::test_a_trusted_log_speaks_for_no_other_log",
        "tests/ledger/test_witnessing.py::test_cosignatures_that_are_none",
    ],
    "one key for several types of signature": [
        "tests/ledger/test_notes.py::test_one_key_under_two_types_is_two_signers",
        "tests/ledger/test_cosigner.py::test_keys_have_one_use",
        "tests/ledger/test_keyring.py::test_a_log_key_is_enrolled_by_admins_and_signs_no_statement",
    ],
    "`.p/256`": [
        "tests/ledger/test_tiles.py::test_other_paths_are_refused",
        "tests/ledger/test_tiles.py::test_the_tiles_of_a_log_by_its_size",
    ],
    "partial tiles hashed into the level above": [
        "tests/ledger/test_tiles.py::test_only_a_full_tile_has_a_hash_above",
        "tests/ledger/test_tiles.py::test_growing_in_batches_gives_the_tiles_of_one_append",
        "tests/interop/test_go.py::test_every_record_of_an_exported_log",
    ],
    "the root of size 0": [
        "tests/ledger/test_checkpoints.py::test_heads_that_no_log_has_are_not_signed",
        "tests/ledger/test_checkpoints.py::test_other_texts_are_no_checkpoint",
        "tests/ledger/test_witness.py::test_the_empty_tree_has_one_root",
    ],
    "entries over 65,535 bytes": [
        "tests/ledger/test_tiles.py::test_entries_that_fit_no_bundle_are_refused",
        "tests/ledger/test_log.py::test_a_refusal_leaves_no_row_and_lets_the_others_through",
    ],
    "`01` and blanks in numbers": ["tests/ledger/test_encoding.py::test_a_number_in_another_form_is_refused"],
    "base64 in another form": [
        "tests/ledger/test_encoding.py::test_base64_in_another_form_is_refused",
        "tests/ledger/test_notes.py::test_bytes_out_of_form_are_no_note",
    ],
    "a note split at its first blank line": ["tests/ledger/test_notes.py::test_the_text_ends_at_the_last_blank_line"],
    "more than 63 lines of proof": [
        "tests/ledger/test_witness.py::test_what_is_no_request",
        "tests/ledger/test_receipts.py::test_other_bytes_are_no_receipt",
    ],
    "a witness that checks and then writes": [
        "tests/ledger/test_traps.py::test_a_witness_checks_what_it_writes",
        "tests/ledger/test_witness_faults.py::test_two_processes_race_for_every_step",
        "tests/ledger/test_witness_faults.py::test_two_processes_race_with_two_histories",
    ],
    "a fork after a restored backup": [
        "tests/ledger/test_highwater.py::test_a_database_restored_from_an_older_copy_signs_nothing",
        "tests/ledger/test_witnessing.py::test_a_log_that_was_restored_from_a_backup_refuses_to_sign",
    ],
    "an ambiguous COMMIT, sent again": [
        "tests/ledger/test_log.py::test_a_failed_commit_poisons_the_log_until_it_is_opened_again",
        "tests/ledger/test_postgres_faults.py::test_a_connection_that_is_cut_at_commit",
        "tests/faults/test_injected.py::test_acknowledged_statements_outlive_calls_that_fail",
    ],
    "a head that a process keeps for itself": [
        "tests/ledger/test_faults.py::test_two_processes_append_at_once",
        "tests/ledger/test_postgres_faults.py::test_writers_on_two_machines_take_turns",
        "tests/ledger/test_log.py::test_two_log_objects_know_each_others_keys",
        "tests/ledger/test_machine.py::Machine",
    ],
    "SQLite's WAL-reset bug": [
        "tests/ledger/test_database.py::test_only_one_process_writes_at_a_time",
        "tests/ledger/test_traps.py::test_a_wal_is_moved_by_nobody_but_who_holds_the_lock",
    ],
    "a checksum taken for integrity": [
        "tests/registry/shards/test_reader.py::test_a_flipped_byte_anywhere_is_refused_by_a_full_read",
        "tests/ledger/test_audit.py::test_a_flipped_byte_is_named_or_means_nothing",
    ],
    "an envelope of which one signature is looked at": [
        "tests/ledger/test_dsse.py::test_every_signature_is_checked_and_named",
        "tests/interop/test_securesystemslib.py::test_every_envelope_of_a_log",
    ],
    "a published ML-DSA-44 key with a wrong key id": [
        "tests/ledger/test_traps.py::test_an_ml_dsa_key_under_another_key_id_is_refused"
    ],
    "rules that change what old entries mean": [
        "tests/ledger/test_audit.py::test_the_first_difference_is_named",
    ],
    "fault injection that never fires": [
        "tests/faults/test_injected.py::test_acknowledged_statements_outlive_calls_that_fail",
        "tests/faults/test_unsynced.py::test_a_missing_sync_would_be_noticed",
    ],
}

NOT_BUILT = {
    "an index updated while its writer waits; an index root that is not the last leaf; an index of changed rules": "index_root",
    "AES_GCM_CTR, which authenticates no page": "create_encryption_properties",
}
"""Traps, and a word that code which could walk into them would contain."""


@cache
def defined(path: str) -> set[str]:
    """The names of the functions and classes at the top of a file."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("trap", HELD)
def test_every_trap_has_a_test(trap: str) -> None:
    for each in HELD[trap]:
        path, name = each.split("::")
        assert name in defined(path), f"{trap}: {each} is not there any more"


@pytest.mark.parametrize("trap", NOT_BUILT)
def test_what_is_built_gets_its_tests(trap: str) -> None:
    for floor in ("schemas", "ledger", "registry", "api"):
        for path in (ROOT / floor).rglob("*.py"):
            assert NOT_BUILT[trap] not in path.read_text(), f"{path} can walk into {trap}: move it to HELD, with a test"


def test_chain_and_tree_commit_to_the_same_bytes(world: World) -> None:
    """What links an entry to the one before is the leaf of the tree, and lies inside its own leaf: there is one proof path."""
    world.log.append(world.parties(5))
    entries = world.entries()
    leaves = [merkle.leaf_hash(data) for data in entries]
    assert [msgspec.json.decode(data)["prev"] for data in entries] == ["0" * 64, *(leaf.hex() for leaf in leaves[:-1])]
    with world.log.reading() as reader:
        assert reader.root == merkle.root_of(leaves)
        assert [reader.node(0, seq) for seq in range(len(leaves))] == leaves


def test_a_witness_checks_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests from size 5, of which the second arrives while the first is being written: one of them is answered."""
    log, file = PlainLog(), tmp_path / "witness.db"
    states = [WitnessState.create(file), WitnessState.open(file)]
    first, second = (Witness(state, [COSIGNER], KNOWN, clock=lambda: NOW) for state in states)
    first.add_checkpoint(log.body(0, 5))
    arrived, refused = threading.Event(), []

    def arrive() -> None:
        connection = states[1]._file._connection.connection.dbapi_connection
        connection.set_trace_callback(lambda sql: arrived.set() if sql == "BEGIN IMMEDIATE" else None)  # type: ignore[union-attr]
        try:
            second.add_checkpoint(log.body(5, 9))
        except Conflict as error:
            refused.append(error.members["size"])
        finally:
            arrived.set()

    thread = threading.Thread(target=arrive)
    cosign = COSIGNER.cosign

    def slowly(text: bytes, time: int) -> NoteSignature:  # the first has checked and not written yet
        monkeypatch.undo()
        thread.start()
        arrived.wait()
        return cosign(text, time)

    monkeypatch.setattr(COSIGNER, "cosign", slowly)
    first.add_checkpoint(log.body(5, 7))
    thread.join()
    assert refused == [7]
    latest = states[0].latest(KNOWN[0].origin)
    assert latest is not None
    assert latest.size == 7
    for state in states:
        state.close()


def test_a_wal_is_moved_by_nobody_but_who_holds_the_lock(make_world: Callable[..., World]) -> None:
    """Two connections, one moving the WAL while the other begins it anew, corrupt a file (SQLite 3.7.0 to 3.51.2)."""
    world = make_world()
    world.log.append(world.parties(3))
    wal, file = world.folder / "ledger.db-wal", world.folder / "ledger.db"
    before = (wal.read_bytes(), file.stat().st_mtime_ns)

    def move(mode: str) -> None:
        with world.log.database.reading() as connection:
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql(f"PRAGMA wal_checkpoint({mode})")

    for mode in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
        with pytest.raises(InbondError):
            move(mode)
    assert (wal.read_bytes(), file.stat().st_mtime_ns) == before
    lock = os.open(world.folder / "ledger.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    closing = threading.Thread(target=world.log.close)  # moves the WAL, as the last connection
    closing.start()
    closing.join(0.3)
    assert closing.is_alive()
    assert wal.read_bytes() == before[0]
    os.close(lock)
    closing.join()
    assert not wal.exists()


def test_an_ml_dsa_key_under_another_key_id_is_refused() -> None:
    """Go takes such a key at its word, and one has been published."""
    key = VerifierKey("example.com/log", ML_DSA_44, bytes(range(256)) * 5 + bytes(32))
    text = key.format()
    assert VerifierKey.parse(text) == key
    wrong = text.replace(key.key_id.hex(), "5893dc2c")
    with pytest.raises(VerificationError, match=f"expected key id {key.key_id.hex()}, found 5893dc2c"):
        VerifierKey.parse(wrong)
