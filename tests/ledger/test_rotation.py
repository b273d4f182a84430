"""The log's keys change: who signs which checkpoint, and who is refused afterwards."""

import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inbond.ledger import checkpoints, cosignatures, merkle, notes, receipts
from inbond.ledger.audit import audit_log
from inbond.ledger.checkpoints import LogSigner
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.encoding import from_base64
from inbond.ledger.keys import ED25519, ML_DSA_44, SigningKey, VerifierKey
from inbond.ledger.logkeys import LogKeys, fingerprint_of
from inbond.ledger.loglist import KnownLog
from inbond.ledger.witness import check_keys
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InvalidInput, NotPermitted, VerificationError
from inbond.schemas.statements import Key, Revocation, RevocationReason, Seen
from tests.ledger.world import ORIGIN, World, error_of, seqs

QUANTUM = b"q" * 32


def ed25519(letter: str) -> SigningKey:
    return SigningKey.from_seed(ORIGIN, letter.encode() * 32)


def ml_dsa(letter: str) -> Cosigner:
    return Cosigner(ORIGIN, ML_DSA_44, letter.encode() * 32)


def named(key: SigningKey) -> SigningKey:
    """The same secret under the log's name."""
    return SigningKey.from_seed(ORIGIN, from_base64(key.to_text().split("+", 4)[4], "key")[1:])


def naming(world: World, key: LogSigner, seen: Seen | None = None, **changes: Any) -> Envelope:
    """The statement that makes `key` a log key; every admin signs it."""
    return world.key_statement(body_of(world, key, **changes), world.admins, seen=seen or world.seen())


def ending(world: World, key: LogSigner, suspect: int | None = None, reason: str = "compromised") -> Envelope:
    """The statement that revokes a log key."""
    from_seq = msgspec.UNSET if suspect is None else suspect
    revocation = Revocation(reason=RevocationReason(reason), suspect_from_seq=from_seq)
    return world.key_statement(body_of(world, key, revocation=revocation), world.admins)


def body_of(world: World, key: LogSigner, **changes: Any) -> Key:
    body = world.key_body(world.admins[0], "log", fingerprint=fingerprint_of(key.verifier))
    return msgspec.structs.replace(body, public_key=msgspec.UNSET, vkey=key.verifier.format(), **changes)


def rotate(world: World, key: LogSigner) -> None:
    world.log.signers.hold(key)
    assert seqs(world.log.append([naming(world, key)])) != [None]


def signed_by(world: World, size: int | None = None) -> list[VerifierKey]:
    """Whose signatures the checkpoint of a size carries, all of them good."""
    with world.log.reading() as reader:
        note, known = reader.checkpoint(size), world.log.keyring_at(reader).log_keys
    _, signers = notes.open_note(note, known)
    assert len(signers) == len(notes.parse(note).signatures)
    return list(signers)


def two_keys(make_world: Callable[..., World], name: str = "two", **options: Any) -> tuple[World, Cosigner]:
    """A world whose genesis names an ML-DSA-44 key beside the Ed25519 key."""
    quantum = Cosigner(ORIGIN, ML_DSA_44, QUANTUM)
    return make_world(name, more_log_keys=[quantum], **options), quantum


# -- the rule ---------------------------------------------------------------------------------------------------------------

OLD, NEW, NEWER = (ed25519(letter).verifier for letter in "onr")


def keys(*named: tuple[VerifierKey, int], ended: Sequence[tuple[VerifierKey, int]] = ()) -> LogKeys:
    made = LogKeys()
    for key, seq in named:
        made.enrol(key, seq)
    for key, seq in ended:
        made.revoke(fingerprint_of(key), seq)
    return made


@pytest.mark.parametrize(
    ("known", "size", "before", "due"),
    [
        (keys((OLD, 0)), 1, 0, [[OLD]]),
        (keys((OLD, 0), (NEW, 5)), 5, 4, [[OLD]]),
        (keys((OLD, 0), (NEW, 5)), 6, 5, [[OLD], [NEW]]),
        (keys((OLD, 0), (NEW, 5)), 9, 5, [[OLD], [NEW]]),
        (keys((OLD, 0), (NEW, 5)), 9, 6, [[NEW]]),
        (keys((OLD, 0), (NEW, 5), (NEWER, 6)), 9, 5, [[OLD], [NEW], [NEWER]]),
        (keys((OLD, 0), (NEW, 5), (NEWER, 6)), 9, 6, [[NEW], [NEWER]]),
        (keys((OLD, 0), (NEW, 5), ended=[(OLD, 6)]), 7, 5, [[NEW]]),
        (keys((OLD, 0), (NEW, 5), ended=[(OLD, 7)]), 7, 5, [[OLD], [NEW]]),
        (keys((OLD, 0), (NEW, 0)), 3, 2, [[OLD, NEW]]),
    ],
)
def test_the_size_selects_who_signs(known: LogKeys, size: int, before: int, due: list[list[VerifierKey]]) -> None:
    assert [list(group) for group in known.due(size, before)] == due
    known.check(size, [group[-1] for group in due], before)
    for left_out in range(len(due)):
        with pytest.raises(VerificationError, match=f"checkpoint {size}: expected a signature by"):
            known.check(size, [group[0] for at, group in enumerate(due) if at != left_out], before)


def test_nobody_signs_before_it_is_named() -> None:
    known = keys((OLD, 0), (NEW, 5))
    with pytest.raises(VerificationError, match="which entry 5 enrols"):
        known.check(5, [OLD, NEW], 4)
    with pytest.raises(VerificationError, match="found none in force"):
        LogKeys().due(3, 2)


def test_keys_at_an_earlier_size() -> None:
    known = keys((OLD, 0), (NEW, 5), ended=[(OLD, 6)])
    assert known.at(5) == keys((OLD, 0))
    assert known.at(6) == keys((OLD, 0), (NEW, 5))
    assert known.at(7) == known
    assert known.current(ED25519) == known.current(ED25519, 6) == (NEW,)
    assert known.current(ED25519, 5) == (OLD,)
    assert known.current(ML_DSA_44) == ()


# -- the log ----------------------------------------------------------------------------------------------------------------


@pytest.mark.both_databases
def test_the_first_checkpoint_carries_both_and_then_the_new_key_alone(world: World) -> None:
    new = ed25519("n")
    rotate(world, new)
    world.log.append(world.parties(2))
    old, fresh = world.log_key.verifier, new.verifier
    assert [signed_by(world, size) for size in (2, 3, 5)] == [[old], [old, fresh], [fresh]]
    assert audit_log(world.log, world.rules).verdict == "clean"
    with world.log.reading() as reader:
        receipt = reader.receipt(1, 2)
    assert receipts.verify(receipt, merkle.leaf_hash(receipt.extra or b""), world.policy).size == 2


def test_statements_before_and_after_in_one_batch(world: World) -> None:
    new, newer = ed25519("n"), ed25519("r")
    for key in (new, newer):
        world.log.signers.hold(key)
    sent = [world.party("a"), naming(world, new), world.party("b"), naming(world, newer), world.party("c")]
    assert seqs(world.log.append(sent)) == [2, 3, 4, 5, 6]
    assert signed_by(world) == [key.verifier for key in (world.log_key, new, newer)]
    assert audit_log(world.log, world.rules).verdict == "clean"


def test_a_log_without_the_new_key_refuses_it_and_goes_on(world: World) -> None:
    results = world.log.append([world.party("a"), naming(world, ed25519("n")), world.party("b")])
    assert seqs(results) == [2, None, 3]
    error = error_of(results[1])
    assert isinstance(error, NotPermitted)
    assert "has at hand" in error.message
    assert error.hint == "make it where the log is written: inbond key rotate log"


@pytest.mark.both_databases
def test_another_process_with_the_old_key_alone_signs_nothing(world: World) -> None:
    new, other = ed25519("n"), world.open()
    rotate(world, new)
    for _ in range(2):
        with pytest.raises(NotPermitted, match=f"{new.verifier.key_id.hex()}.*which entry 2 names") as caught:
            other.append(world.parties(1))
        assert "open the registry again" in (caught.value.hint or "")
    with pytest.raises(NotPermitted):
        other.append([])
    with other.reading() as reader:
        assert reader.size == 3
        other.keyring.log.open(reader.note, ORIGIN)
    other.signers.hold(new)  # as opening it again with both files does
    assert seqs(other.append(world.parties(1))) == [3]
    other.close()


def test_opened_with_old_and_new_or_with_the_new_one_alone(world: World) -> None:
    new = ed25519("n")
    rotate(world, new)
    for held in ([world.log_key, new], [new], new):
        log = type(world.log)(world.folder, world.rules, held)
        [result] = log.append(world.parties(1))
        assert not isinstance(result, Exception)
        log.close()
    old = type(world.log)(world.folder, world.rules, world.log_key)  # it may still be read
    with pytest.raises(NotPermitted, match="nothing can be signed"):
        old.append(world.parties(1))
    old.close()
    with pytest.raises(NotPermitted, match="expected a log key of"):
        type(world.log)(world.folder, world.rules, ed25519("x"))


@pytest.mark.both_databases
def test_a_lost_key_is_replaced_without_its_signature(world: World) -> None:
    new = ed25519("n")
    log = world.open(writable=False)
    log.signers.hold(new)
    with pytest.raises(NotPermitted, match="nothing can be signed"):
        log.append([naming(world, new)])
    assert seqs(log.append([naming(world, new), ending(world, world.log_key, reason="lost")])) == [2, 3]
    log.close()
    assert signed_by(world) == [new.verifier]
    assert audit_log(world.log, world.rules).verdict == "clean"


def test_a_database_from_before_the_rotation_signs_nothing(world: World, tmp_path: Path) -> None:
    new, copy = ed25519("n"), tmp_path / "copy.db"
    world.log.close()
    shutil.copy(world.folder / "ledger.db", copy)
    world.log = world.open()
    rotate(world, new)
    world.log.append(world.parties(1))
    world.log.close()
    shutil.copy(copy, world.folder / "ledger.db")
    world.log_keys = [world.log_key, new]
    world.log = world.open()
    with pytest.raises(VerificationError, match="expected a checkpoint signed by this log") as caught:
        world.log.append(world.parties(1))
    assert "if the log's key was rotated since, the database is older than that" in (caught.value.hint or "")


def test_a_log_killed_before_it_wrote_its_newest_checkpoint_outside(world: World) -> None:
    """The file then holds one that the old key alone signed, which is a prefix of what the database has."""
    outside = world.folder.parent / "state" / world.genesis_leaf.hex() / "checkpoint"
    early = outside.read_bytes()
    new = ed25519("n")
    rotate(world, new)
    for note in (early, outside.read_bytes()):
        outside.write_bytes(note)
        world.log.append(world.parties(1))
    forged = checkpoints.sign(checkpoints.parse(notes.parse(outside.read_bytes()).text), [world.log_key])
    outside.write_bytes(forged)
    with pytest.raises(VerificationError, match=r"expected a checkpoint signed by this log, found: checkpoint 5: .* of entry 2"):
        world.log.append(world.parties(1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda world: ending(world, world.log_key), "expected its successor on an entry before"),
        (lambda world: world.revoke(world.log_key), "expected its successor on an entry before"),
        (lambda world: naming(world, world.log_key), "which this log has had before"),
        (lambda world: naming(world, ed25519("n"), not_after="2030-01-01"), "expected no end in not_after"),
        (lambda world: naming(world, ed25519("n"), fingerprint="0" * 64), "expected fingerprint"),
        (lambda world: naming(world, ed25519("n"), roles=("producer",)), "expected the role log, alone"),
        (lambda world: naming(world, named(world.producer)), "signs statements"),
        (lambda world: ending(world, ed25519("n")), "expected to revoke a key of this log"),
        (
            lambda world: world.key_statement(body_of(world, ed25519("n")), [world.producer]),
            "signatures of 1 admin keys, found 0",
        ),
    ],
)
def test_statements_about_log_keys_that_are_refused(world: World, make: Callable[[World], Envelope], message: str) -> None:
    for key in (ed25519("n"), named(world.producer)):
        world.log.signers.hold(key)
    [result] = world.log.append([make(world)])
    assert message in error_of(result).message


def test_a_log_key_that_took_over_signs_no_statement(world: World) -> None:
    new = ed25519("n")
    rotate(world, new)
    for envelope in (world.party("x", keys=[new]), world.party("y", keys=[world.log_key])):
        assert "unknown key" in error_of(world.log.append([envelope])[0]).message
    assert "is a log key" in error_of(world.log.append([world.enrol(new)])[0]).message


# -- two kinds of signatures ------------------------------------------------------------------------------------------------


def test_every_checkpoint_carries_both_kinds(make_world: Callable[..., World]) -> None:
    world, quantum = two_keys(make_world)
    world.log.append(world.parties(1))
    for size in (1, 2, 3):
        assert signed_by(world, size) == [world.log_key.verifier, quantum.verifier]
    with world.log.reading() as reader:
        [_, line] = notes.parse(reader.note).signatures
        time = reader.time
    assert int.from_bytes(line.blob[:8], "big") == int(datetime.fromisoformat(time).timestamp())
    assert len(line.blob) == 8 + cosignatures.ML_DSA_44_SIZE
    assert audit_log(world.log, world.rules).verdict == "clean"


def test_the_ml_dsa_key_rotates_and_ends_by_itself(make_world: Callable[..., World]) -> None:
    world, quantum = two_keys(make_world)
    second = ml_dsa("s")
    rotate(world, second)
    world.log.append(world.parties(1))
    ed = world.log_key.verifier
    assert [signed_by(world, size) for size in (3, 4)] == [[ed, quantum.verifier, second.verifier], [ed, second.verifier]]
    assert seqs(world.log.append([ending(world, second)])) == [4]
    assert signed_by(world) == [ed]
    rotate(world, ml_dsa("t"))
    assert signed_by(world) == [ed, ml_dsa("t").verifier]
    assert audit_log(world.log, world.rules).verdict == "clean"


def test_a_log_gets_its_first_ml_dsa_key_later(world: World) -> None:
    rotate(world, ml_dsa("s"))
    world.log.append(world.parties(1))
    assert signed_by(world, 3) == signed_by(world, 4) == [world.log_key.verifier, ml_dsa("s").verifier]
    assert audit_log(world.log, world.rules).verdict == "clean"


def test_a_logs_ml_dsa_key_is_no_witness() -> None:
    """Its file has the form of a cosigner's, but a log that vouches for itself is no witness."""
    with pytest.raises(InvalidInput, match="found one of the log"):
        check_keys([KnownLog(ORIGIN, (ed25519("o").verifier,))], [ml_dsa("q").verifier])


def test_where_the_library_has_no_ml_dsa(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    world, quantum = two_keys(make_world)
    world.log.close()
    monkeypatch.setattr(cosignatures, "ml_dsa_available", lambda: False)
    world.log_keys = [world.log_key]
    world.log = world.open()
    with pytest.raises(NotPermitted, match="ML-DSA-44 cannot be used here") as caught:
        world.log.append(world.parties(1))
    assert "inbond key revoke" in (caught.value.hint or "")
    report = audit_log(world.log, world.rules)
    assert (report.verdict, report.problem) == ("inconclusive", None)
    assert any("ML-DSA-44 cannot be used here" in text for text in report.unchecked)
    with world.log.reading() as reader:  # the Ed25519 signature is enough to read it
        assert world.log.keyring.log.open(reader.note, ORIGIN).size == world.policy.open_checkpoint(reader.note).size == 2
    assert seqs(world.log.append([ending(world, quantum)])) == [2]
    assert seqs(world.log.append(world.parties(1))) == [3]
    assert world.log.keyring.log.until[quantum.verifier] == 2
