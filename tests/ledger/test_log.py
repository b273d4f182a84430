import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Column, Connection, ForeignKey, Integer, Table, insert

from inbond.ledger import dsse, merkle, receipts, tables
from inbond.ledger.audit import audit_log
from inbond.ledger.encoding import to_base64
from inbond.ledger.keys import SigningKey
from inbond.ledger.log import Appended, Log
from inbond.ledger.rules import Draft
from inbond.schemas.entry import MAX_ENTRY, MAX_PAYLOAD, PAYLOAD_TYPE, Envelope, Signature
from inbond.schemas.errors import (
    Conflict,
    InbondError,
    InvalidInput,
    NotPermitted,
    PolicyDenied,
    StoreError,
    VerificationError,
)
from tests.ledger.world import NameRules, World, error_of, names, rows, seen, seqs

pytestmark = pytest.mark.both_databases


def clean(world: World) -> None:
    report = audit_log(world.log, world.rules)
    assert report.verdict == "clean", report


def test_statements_get_consecutive_places_and_a_new_head(world: World) -> None:
    first, second = world.parties(2)
    assert world.log.append([first, second]) == [Appended(2, False), Appended(3, False)]
    entries = world.entries()
    leaves = [merkle.leaf_hash(data) for data in entries]
    with world.log.reading() as reader:
        assert (reader.size, reader.root, reader.leaf) == (4, merkle.root_of(leaves), leaves[-1])
        assert rows(reader, names)[0][0][1:] == (2, bytes.fromhex(world.producer.public.fingerprint))
    clean(world)


def test_the_same_payload_again_returns_the_first_entry(world: World) -> None:
    one, two = world.parties(2)
    world.log.append([one])
    assert world.log.append([one, two, two, one]) == [
        Appended(2, True), Appended(3, False), Appended(3, True), Appended(2, True)
    ]  # fmt: skip
    assert len(world.entries()) == 4
    world.reopen()
    assert world.log.append_one(two) == Appended(3, True)


def test_another_payload_under_a_known_id_is_a_conflict(world: World) -> None:
    id = world.id()
    world.log.append_one(world.party("first", id=id))
    error = error_of(world.log.append([world.party("second", id=id)])[0])
    assert isinstance(error, Conflict)
    assert error.members == {"seq": 2}
    assert "entry 2" in error.message
    assert len(world.entries()) == 3


def _unknown(world: World) -> Envelope:
    return world.party("x", keys=[world.key("stranger")])


def _unknown_beside_known(world: World) -> Envelope:
    return world.party("x", keys=[world.producer, world.key("stranger")])


def _revoked(world: World) -> Envelope:
    key = world.key("second")
    assert seqs(world.log.append([world.enrol(key), world.revoke(key)])) == [2, 3]
    return world.party("x", keys=[key])


def _expired(world: World) -> Envelope:
    key = world.key("second")
    world.log.append_one(world.enrol(key, not_after="2020-12-31"))
    return world.party("x", keys=[key])


def _few_admins(world: World) -> Envelope:
    key = world.key("second")
    return world.enrol(key, keys=[key, world.admins[0]])


def _no_possession(world: World) -> Envelope:
    return world.enrol(world.key("second"), keys=world.admins)


def _self_made_admin(world: World) -> Envelope:
    key = world.key("second")
    return world.enrol(key, "admin", keys=[key, world.producer])


def _another_fingerprint(world: World) -> Envelope:
    key = world.key("second")
    return world.enrol(key, fingerprint=world.admins[0].public.fingerprint)


def _log_key_for_statements(world: World) -> Envelope:
    return world.enrol(world.log_key)


def _log_role_for_a_statement_key(world: World) -> Envelope:
    return world.enrol(world.key("second"), "log")


def _bad_vkey(world: World) -> Envelope:
    new = SigningKey.generate("example.com/elsewhere")
    body = msgspec.structs.replace(
        world.key_body(new, "log"), public_key=msgspec.UNSET, vkey=new.verifier.format()
    )  # fmt: skip
    return world.key_statement(body, world.admins)


def _vkey_with_another_key_id(world: World) -> Envelope:
    new = SigningKey.generate(world.log.origin)
    name, _, secret = new.verifier.format().split("+", 2)
    body = msgspec.structs.replace(world.key_body(new, "log"), public_key=msgspec.UNSET, vkey=f"{name}+00000000+{secret}")
    return world.key_statement(body, world.admins)


def _revoke_unknown(world: World) -> Envelope:
    return world.revoke(world.key("second"))


def _enrol_revoked(world: World) -> Envelope:
    key = world.key("second")
    world.log.append([world.enrol(key), world.revoke(key)])
    return world.enrol(key)


def _foreign(world: World) -> Envelope:
    return world.party("x", registry="example.net/other")


def _seen_elsewhere(world: World) -> Envelope:
    return world.party("x", seen=seen(2, bytes(32)))


def _seen_too_large(world: World) -> Envelope:
    with world.log.reading() as reader:
        return world.party("x", seen=seen(reader.size + 1, reader.root))


def _seen_nothing(world: World) -> Envelope:
    return world.party("x", seen=seen(0, merkle.EMPTY_ROOT))


def _null_twice(world: World) -> Envelope:
    return world.party("x", seen=None)


def _null_by_an_old_key_with_another(world: World) -> Envelope:
    return world.party("x", seen=None, keys=[world.producer, world.admins[0]])


def _genesis_again(world: World) -> Envelope:
    world.operator = f"party:{world.id()}"
    return world.make_genesis()


def _altered_signature(world: World) -> Envelope:
    envelope = world.party("x")
    return msgspec.structs.replace(envelope, signatures=world.party("y").signatures)


def _signed_twice(world: World) -> Envelope:
    envelope = world.party("x")
    return msgspec.structs.replace(envelope, signatures=envelope.signatures * 2)


def _unsigned(world: World) -> Envelope:
    return msgspec.structs.replace(world.party("x"), signatures=())


def _oversize(world: World) -> Envelope:
    payload = b" " * (MAX_PAYLOAD + 1)
    signed = to_base64(world.producer.sign(dsse.pae(PAYLOAD_TYPE, payload)))
    return Envelope(to_base64(payload), PAYLOAD_TYPE, (Signature(world.producer.public.fingerprint, signed),))


def _too_many_bytes_with_signatures(world: World) -> Envelope:
    """A payload at its limit fits an entry only with few signatures."""
    more = [world.key(f"more-{i}") for i in range(15)]
    world.log.append([world.enrol(key) for key in more])
    envelope = world.party(*(f"{i:02}" + "ä" * 367 for i in range(64)), keys=[world.producer, *more])
    assert len(envelope.payload) * 3 // 4 <= MAX_PAYLOAD < MAX_ENTRY < len(dsse.envelope_bytes(envelope))
    return envelope


def _not_canonical(world: World) -> Envelope:
    payload = dsse.payload_of(world.party("x")).replace(b'"body":', b'"body": ')
    return dsse.sign(payload, [world.producer])


def _another_type(world: World) -> Envelope:
    return dsse.sign(dsse.payload_of(world.party("x")), [world.producer], "application/json")


REFUSED = [
    (_unknown, NotPermitted, "unknown key"),
    (_unknown_beside_known, NotPermitted, "unknown key"),
    (_revoked, NotPermitted, "revoked by entry 3"),
    (_expired, NotPermitted, "expired at 2020-12-31"),
    (_few_admins, NotPermitted, "signatures of 2 admin keys, found 1"),
    (_no_possession, NotPermitted, "signature of the enrolled key"),
    (_self_made_admin, NotPermitted, "signatures of 2 admin keys, found 0"),
    (_another_fingerprint, InvalidInput, "expected fingerprint"),
    (_log_key_for_statements, InvalidInput, "is a log key"),
    (_log_role_for_a_statement_key, InvalidInput, "expected the role log, alone, for a vkey"),
    (_bad_vkey, InvalidInput, "named example.org/log"),
    (_vkey_with_another_key_id, VerificationError, "expected key id"),
    (_revoke_unknown, InvalidInput, "expected to revoke a key of this log"),
    (_enrol_revoked, NotPermitted, "revoked by entry 3"),
    (_foreign, InvalidInput, "header.registry: expected example.org/log, found example.net/other"),
    (_seen_elsewhere, VerificationError, "the signer has seen another history"),
    (_seen_too_large, InvalidInput, "expected a size from 1 to"),
    (_seen_nothing, InvalidInput, "expected a size from 1 to"),
    (_null_twice, InvalidInput, "only genesis and a key's first statement"),
    (_null_by_an_old_key_with_another, InvalidInput, "only genesis and a key's first statement"),
    (_genesis_again, InvalidInput, "expected genesis as entry 0 only"),
    (_altered_signature, VerificationError, "does not verify"),
    (_signed_twice, VerificationError, "one signature of each key"),
    (_unsigned, InbondError, "signature"),
    (_oversize, VerificationError, "48000"),
    (_too_many_bytes_with_signatures, InvalidInput, "at most 65535 bytes"),
    (_not_canonical, InvalidInput, "not canonical"),
    (_another_type, InvalidInput, "expected payload type"),
    (lambda world: world.party("no admit"), PolicyDenied, "no admit"),
    (lambda world: world.party("row", "no project"), PolicyDenied, "no project"),
]


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED, ids=[make.__name__.strip("_") for make, _, _ in REFUSED])
def test_a_refusal_leaves_no_row_and_lets_the_others_through(
    make_world: Callable[..., World], make: Callable[[World], Envelope], kind: type[InbondError], message: str
) -> None:
    world = make_world(admins=3, threshold=2)
    bad = make(world)
    before = len(world.entries())
    good = world.parties(3)
    results = world.log.append([good[0], bad, good[1], bad, good[2]])
    assert seqs(results) == [before, None, before + 1, None, before + 2]
    for place in (1, 3):
        error = error_of(results[place])
        assert isinstance(error, kind)
        assert message in error.message
    assert error_of(world.log.append([bad])[0]).message
    with world.log.reading() as reader:
        assert reader.size == before + 3
        assert [row[1] for row in sorted(rows(reader, names)[0], key=lambda row: row[1])] == [before, before + 1, before + 2]
        assert [row[0] for row in rows(reader, tables.entries)[0]] == list(range(before + 3))
    clean(world)


def test_a_key_signs_in_the_batch_that_enrols_it_and_not_in_the_one_that_revokes_it(world: World) -> None:
    key = world.key("second")
    # seen = null: the first statement of a key, here twice
    batch = [world.enrol(key), world.party("a", keys=[key]), world.revoke(key), world.party("b", keys=[key])]
    assert seqs(world.log.append(batch)) == [2, 3, 4, None]
    assert world.log.keyring.keys[key.public.fingerprint].revoked == 4
    clean(world)


def test_a_first_statement_may_have_seen_nothing(world: World) -> None:
    assert seqs(world.log.append([world.party("a", seen=None), world.party("b", seen=None)])) == [None, None]
    new = world.key("second")
    enrolment = world.key_statement(world.key_body(new), [*world.admins, new], seen=None)
    assert seqs(world.log.append([enrolment, world.party("c", seen=None, keys=[new])])) == [2, None]
    registry = world.party("d", seen=None, keys=[world.registry])  # known from genesis, which it has not signed
    assert seqs(world.log.append([registry])) == [3]
    clean(world)


def test_two_log_objects_know_each_others_keys(world: World) -> None:
    other = world.open()
    key = world.key("second")
    world.log.append_one(world.enrol(key))
    assert other.append_one(world.party("by a key that the other object took", keys=[key])).seq == 3
    world.log.append_one(world.revoke(key))
    assert "revoked by entry 4" in error_of(other.append([world.party("late", keys=[key])])[0]).message
    other.close()
    clean(world)


def test_threads_append_at_once(world: World) -> None:
    known = len(world.entries())
    batches = [world.parties(1 + n % 4, prefix=f"t{n}") for n in range(24)]
    results: list[list[Any]] = [[] for _ in batches]
    answered = [0 for _ in batches]
    start = threading.Barrier(8)

    def work(worker: int) -> None:
        start.wait()
        for n in range(worker, len(batches), 8):
            results[n] = world.log.append([*batches[n], batches[0][0]])
            answered[n] = len(results[n])  # now: whoever is answered is on record, and not a little later

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answered == [len(batch) + 1 for batch in batches]
    fresh = sorted(r.seq for result in results for r in result if not r.duplicate)
    assert fresh == list(range(known, known + sum(map(len, batches))))
    assert len({result[-1].seq for result in results}) == 1, "one entry for the statement that all sent"
    for result in results:
        own = seqs(result[:-1])
        assert own == sorted(own)
    clean(world)


def test_keys_are_not_forgotten_while_others_look_them_up(world: World) -> None:
    """Appends race with look-ups of unknown keys, which read snapshots that may be older than the newest head."""
    stop = threading.Event()
    stranger = world.party("x", keys=[world.key("stranger")])

    def look_up() -> None:
        while not stop.is_set():
            world.log.append([stranger])

    threads = [threading.Thread(target=look_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for n in range(12):
            key = world.key(f"key-{n}")
            world.log.append_one(world.enrol(key))
            world.log.append_one(world.revoke(key))
            error = error_of(world.log.append([world.party(f"n{n}", keys=[key])])[0])
            assert "revoked" in error.message
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    clean(world)


def test_every_receipt_verifies_at_every_checkpoint(world: World) -> None:
    sizes = [2]
    for count in (1, 5, 8, 250, 1, 7):
        world.log.append(world.parties(count))
        sizes.append(sizes[-1] + count)
    entries = world.entries()
    with world.log.reading() as reader:
        assert [size for size, _ in reader.checkpoints()] == [1, *sizes]
        for size in sizes:
            for seq in {0, 1, size // 2, size - 2, size - 1} | (set(range(size)) if size < 20 else set()):
                data = reader.receipt(seq, size).to_bytes()
                receipt = receipts.parse(data)
                checkpoint = receipts.verify(receipt, merkle.leaf_hash(entries[seq]), world.policy)
                assert (receipt.extra, checkpoint.size) == (entries[seq], size)
                with pytest.raises(VerificationError):
                    receipts.verify(receipt, merkle.leaf_hash(entries[seq - 1]), world.policy)
        for old in sizes:
            for new in sizes:
                if old <= new:
                    proof = reader.consistency(old, new)
                    merkle.verify_consistency(old, new, proof, reader.root_at(old), reader.root_at(new))
    assert world.log.receipt(1, with_entry=False).extra is None


def test_what_does_not_exist_is_not_found(world: World) -> None:
    with world.log.reading() as reader:
        for ask in (
            lambda: reader.entry(2),
            lambda: reader.receipt(2),
            lambda: reader.receipt(-1),
            lambda: reader.receipt(0, 3),
            lambda: reader.root_at(3),
            lambda: reader.checkpoint(3),
            lambda: reader.consistency(1, 3),
            lambda: reader.seq_of("0" * 32),
        ):
            with pytest.raises(InbondError) as caught:
                ask()
            assert caught.value.exit_code == 7
        with pytest.raises(InvalidInput):
            reader.consistency(0, 2)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def times(world: World) -> list[str]:
    return [msgspec.json.decode(data)["time"] for data in world.entries()]


def test_time_never_decreases(make_world: Callable[..., World]) -> None:
    clock = Clock()
    world = make_world(clock=clock)
    clock.now -= timedelta(minutes=59)
    world.log.append_one(world.party("a"))
    clock.now += timedelta(minutes=60, microseconds=1999)
    world.log.append_one(world.party("b"))
    assert times(world) == ["2026-03-01T12:00:00.000Z"] * 3 + ["2026-03-01T12:01:00.001Z"]
    clean(world)


def test_a_clock_an_hour_back_is_refused(make_world: Callable[..., World]) -> None:
    clock = Clock()
    world = make_world(clock=clock)
    clock.now -= timedelta(hours=1, milliseconds=1)
    with pytest.raises(StoreError, match=r"the clock reads 2026-03-01T10:59:59.999Z.*2026-03-01T12:00:00.000Z") as caught:
        world.log.append_one(world.party("a"))
    assert "--accept-clock" in (caught.value.hint or "")
    assert len(world.entries()) == 2
    accepting = world.open(accept_clock=True)
    assert accepting.append_one(world.party("a")) == Appended(2, False)
    accepting.close()
    assert times(world) == ["2026-03-01T12:00:00.000Z"] * 3
    clock.now += timedelta(hours=1)
    assert world.log.append_one(world.party("b")) == Appended(3, False)


def test_a_statement_may_not_have_seen_its_own_batch(
    make_world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_world("one", clock=Clock())
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state of another machine"))
    two = make_world("two", clock=Clock())
    first = one.party("a")
    one.log.append_one(first)
    ahead = one.seen()
    assert seqs(two.log.append([first, two.party("b", seen=ahead)])) == [2, None]
    assert two.seen() == ahead, "one log twice: same seed, same clock"
    assert seqs(two.log.append([two.party("b", seen=ahead)])) == [3]


def test_the_same_seed_and_clock_give_the_same_bytes(make_world: Callable[..., World]) -> None:
    one, two = make_world("one", clock=Clock()), make_world("two", clock=Clock())
    assert one.entries() == two.entries()
    with one.log.reading() as a, two.log.reading() as b:
        assert a.note == b.note


def test_without_the_log_key_a_log_can_be_read_only(world: World) -> None:
    reader = world.open(writable=False)
    with pytest.raises(NotPermitted, match="without its log key"):
        reader.append_one(world.party("a"))
    assert reader.receipt(1).index == 1
    reader.close()


def test_another_log_key_is_refused(world: World) -> None:
    with pytest.raises(NotPermitted, match=r"expected a log key of example\.org/log"):
        Log(world.folder, world.rules, SigningKey.generate("example.org/log"))


def test_another_genesis_is_refused(world: World) -> None:
    world.open(genesis=world.genesis_leaf).close()
    with pytest.raises(VerificationError, match="expected the log of genesis"):
        world.open(genesis=bytes(32))


def test_a_closed_log_refuses(world: World) -> None:
    world.log.close()
    for count in (1, 9):
        with pytest.raises(StoreError, match="was closed"):
            world.log.append([world.genesis] * count)


def test_a_refused_genesis_leaves_nothing(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    other = SigningKey.generate("example.org/log")
    elsewhere = SigningKey.generate("example.net/else")
    twice = dsse.sign(dsse.payload_of(world.genesis), [*world.admins, world.registry])
    for genesis, key, message in (
        (world.party("x"), world.log_key, "unknown|expected a genesis"),
        (world.genesis, other, "expected one of those in genesis"),
        (twice, world.log_key, "signature of each of its 1 admin keys"),
        (world.make_genesis(origin="example.net/else"), world.log_key, "expected origin example.org/log"),
        (world.make_genesis(log_keys=(elsewhere.verifier.format(),)), elsewhere, "named example.org/log"),
        (world.make_genesis(registry_key=world.log_key.public.base64), world.log_key, "is a log key"),
        (world.make_genesis(registry_key="AAAA"), world.log_key, "32 bytes"),
    ):
        with pytest.raises(InbondError, match=message):
            Log.create(folder, genesis, key, world.rules)
        assert [path.name for path in folder.iterdir()] in ([], ["ledger.lock"])
    Log.create(folder, world.genesis, world.log_key, world.rules).close()


class BrokenRules(NameRules):
    """Rules with a defect: a row of theirs refers to an entry that does not exist, which shows at COMMIT."""

    loose = Table(
        "loose",
        names.metadata,
        Column("seq", Integer, ForeignKey("entries.seq", deferrable=True, initially="DEFERRED"), primary_key=True),
        extend_existing=True,
    )

    def __init__(self) -> None:
        self.tables = [names, self.loose]

    def project(self, connection: Connection, draft: Draft) -> None:
        super().project(connection, draft)
        if draft.kind == "party" and "loose" in draft.body.aliases:
            connection.execute(insert(self.loose), {"seq": 1_000_000})


def test_a_failed_commit_poisons_the_log_until_it_is_opened_again(make_world: Callable[..., World]) -> None:
    world = make_world(rules=BrokenRules())
    fine = world.party("fine")
    with pytest.raises(StoreError, match="COMMIT failed and its outcome is not known") as caught:
        world.log.append([fine, world.party("loose")])
    assert caught.value.hint == "open the registry again"
    with pytest.raises(StoreError, match="COMMIT failed"):
        world.log.append([fine])
    assert len(world.entries()) == 2, "reading goes on"
    world.reopen()
    assert world.log.append_one(fine) == Appended(2, False)
    clean(world)
