"""Logs that are whole (chain, tree, tiles, checkpoint) and say what may not be said; and who may sign a checkpoint."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from inbond.ledger import checkpoints, merkle, notes
from inbond.ledger.audit import AuditReport, Options, audit_folder, audit_log
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.cosignatures import ed25519_message
from inbond.ledger.keys import COSIGNATURE_V1, SigningKey, VerifierKey
from inbond.ledger.notes import Note, NoteSignature
from inbond.ledger.policy import TrustedLog, TrustPolicy, Witness
from inbond.ledger.rules import NoRules
from inbond.schemas.entry import Envelope
from tests.ledger.published import long_entries, placed, publish
from tests.ledger.test_audit import change
from tests.ledger.world import ORIGIN, World, seen

Said = Envelope | tuple[Envelope, str]


def audited(folder: Path, world: World, **options: object) -> AuditReport:
    return audit_folder(folder, NoRules(), world.genesis_leaf, options=Options(**options))  # type: ignore[arg-type]


# -- what a key may not say --------------------------------------------------------------------------------------------------


def _unknown(world: World) -> list[Said]:
    return [world.party("x", keys=[world.key("stranger")])]


def _revoked(world: World) -> list[Said]:
    return [world.revoke(world.producer), world.party("x")]


def _expired(world: World) -> list[Said]:
    late = world.key("late")
    return [world.enrol(late, not_after="2027-01-01"), (world.party("x", keys=[late]), "2027-01-02T00:00:00.000Z")]


def _enrolled_later(world: World) -> list[Said]:
    second = world.key("second")
    return [world.party("x", keys=[second]), world.enrol(second)]


def _without_admins(world: World) -> list[Said]:
    second = world.key("second")
    return [world.enrol(second, keys=[world.producer, second])]


def _not_signed_by_itself(world: World) -> list[Said]:
    return [world.enrol(world.key("second"), keys=world.admins)]


def _genesis_again(world: World) -> list[Said]:
    return [world.make_genesis()]


def _seen_nothing(world: World) -> list[Said]:
    return [world.party("x", seen=None)]


def _seen_another_history(world: World) -> list[Said]:
    return [world.party("x", seen=seen(2, bytes(32)))]


def _the_same_id(world: World) -> list[Said]:
    id = world.id()
    return [world.party("x", id=id), world.party("y", id=id)]


def _elsewhere(world: World) -> list[Said]:
    return [world.party("x", registry="example.net/else")]


def _back_in_time(world: World) -> list[Said]:
    return [world.party("x"), (world.party("y"), "2026-11-21T11:59:59.999Z")]


def _forged(world: World) -> list[Said]:
    one, two = world.party("x"), world.party("y")
    return [msgspec.structs.replace(one, signatures=two.signatures)]


def _one_of_two_forged(world: World) -> list[Said]:
    one = world.party("x", keys=[world.producer, world.registry])
    other = world.party("y", keys=[world.registry])
    return [msgspec.structs.replace(one, signatures=(one.signatures[0], other.signatures[0]))]


SAID: dict[str, tuple[Callable[[World], list[Said]], str]] = {
    "unknown": (_unknown, "entry 2 cannot stand in this log: party statement: expected signatures by keys of this log, found"),
    "revoked": (_revoked, "entry 3 cannot stand in this log: key"),
    "expired": (_expired, "expired at 2027-01-01"),
    "enrolled later": (_enrolled_later, "entry 2 cannot stand in this log: party statement: expected signatures by keys of"),
    "without admins": (_without_admins, "entry 2 cannot stand in this log: key statement: expected signatures of 1 admin keys"),
    "not signed by itself": (_not_signed_by_itself, "entry 2 cannot stand in this log: key statement: expected a signature of"),
    "genesis again": (_genesis_again, "entry 2 cannot stand in this log: expected genesis as entry 0 only"),
    "seen nothing": (_seen_nothing, "entry 2: header.seen: expected the size and root that the signer knew, found null"),
    "another history": (_seen_another_history, "entry 2: header.seen: at size 2 expected this log's root"),
    "the same id": (_the_same_id, "entry 3: expected a header id of its own, found that of entry 2"),
    "elsewhere": (_elsewhere, "entry 2: header.registry: expected example.org/log, found example.net/else"),
    "back in time": (_back_in_time, "entry 3: expected a time of 2026-11-21T12:00:00.000Z or later, found"),
    "forged": (_forged, "entry 2: envelope: expected a valid signature by"),
    "one of two forged": (_one_of_two_forged, "entry 2: envelope: expected a valid signature by"),
}


CASES = [*((name, False) for name in SAID), *((name, True) for name in ("unknown", "enrolled later", "forged"))]


@pytest.mark.parametrize(("name", "processes"), CASES)
def test_what_may_not_stand(
    make_world: Callable[..., World], tmp_path: Path, name: str, processes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if processes:
        monkeypatch.setattr("inbond.ledger.audit.APART", 0)
    world = make_world(clock=_noon)
    say, message = SAID[name]
    entries = placed(say(world), world.entries())
    report = audited(publish(tmp_path / "out", entries, [world.log_key]), world)
    assert report.verdict == "differs", report
    assert message in (report.problem or ""), report.problem


def _noon() -> datetime:
    return datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_what_may_stand(make_world: Callable[..., World], tmp_path: Path) -> None:
    """The same builder with nothing wrong, so that what is found above is what was meant."""
    world = make_world(clock=_noon)
    second, late, third = (world.key(name) for name in ("second", "late", "third"))
    said: list[Said] = [
        world.enrol(second), world.party("x", keys=[second]), world.party("y", keys=[second, world.producer]),
        world.enrol(late, not_after="2027-01-01"), (world.party("z", keys=[late]), "2027-01-01T23:59:59.999Z"),
        world.revoke(second), world.key_statement(world.key_body(third), [*world.admins, third], seen=None),
    ]  # fmt: skip
    report = audited(publish(tmp_path / "out", placed(said, world.entries()), [world.log_key]), world)
    assert (report.verdict, report.problem, report.size) == ("clean", None, 9)


@pytest.mark.parametrize("name", ["unknown", "forged", "the same id", "another history", "seen nothing"])
def test_it_is_found_behind_many_others(make_world: Callable[..., World], tmp_path: Path, name: str) -> None:
    world = make_world(clock=_noon)
    say, message = SAID[name]
    before = long_entries(world, 700)
    report = audited(publish(tmp_path / "out", placed(say(world), before), [world.log_key]), world)
    number = 701 if name == "the same id" else 700
    assert report.problem is not None
    assert f"entry {number}" in report.problem
    assert message.split(":", 1)[1].split("entry")[0][:20] in report.problem


# -- who may sign a checkpoint -----------------------------------------------------------------------------------------------


def cosigned(note: bytes, key: SigningKey, *, good: bool = True) -> bytes:
    """The note with one cosignature more (0x04)."""
    parsed = notes.parse(note)
    moment = 1_800_000_000
    signature = key.sign(ed25519_message(moment + (not good), parsed.text))
    vkey = VerifierKey(key.name, COSIGNATURE_V1, key.public.raw)
    line = NoteSignature(key.name, vkey.key_id, moment.to_bytes(8, "big") + signature)
    return Note(parsed.text, (*parsed.signatures, line)).to_bytes()


def policy_with(world: World, key: SigningKey) -> TrustPolicy:
    witness = Witness("w", VerifierKey(key.name, COSIGNATURE_V1, key.public.raw))
    return TrustPolicy((TrustedLog(world.log_key.verifier),), (witness,), (), "w")


def test_every_line_of_an_exported_checkpoint_is_somebodys(world: World, tmp_path: Path) -> None:
    witness = SigningKey.from_seed("witness.example/w", b"w" * 32)
    out = publish(tmp_path / "out", world.entries(), [world.log_key])
    note = (out / "checkpoint").read_bytes()
    policy = policy_with(world, witness)
    early = audited(out, world, policy=policy)
    assert (early.verdict, len(early.unchecked)) == ("inconclusive", 1)
    assert "expected cosignatures that meet the quorum 'w'" in early.unchecked[0]
    (out / "checkpoint").write_bytes(cosigned(note, witness))
    assert audited(out, world, policy=policy).verdict == "clean"
    assert "found one by witness.example/w+" in (audited(out, world).problem or "")
    (out / "checkpoint").write_bytes(cosigned(note, witness, good=False))
    assert "expected a valid signature by witness.example/w" in (audited(out, world, policy=policy).problem or "")
    (out / "checkpoint").write_bytes(checkpoints.sign(checkpoints.parse(notes.parse(note).text), [witness]))
    assert "found one by witness.example/w+" in (audited(out, world).problem or "")


def test_every_line_of_a_stored_checkpoint_is_somebodys(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.log.append(world.parties(3))
    world.log.append(world.parties(3))
    witness = SigningKey.from_seed("witness.example/w", b"w" * 32)
    with world.log.reading() as reader:
        note = cosigned(reader.checkpoint(5), witness)
    world.log.close()
    change(world.folder, f"UPDATE checkpoints SET note = X'{note.hex()}' WHERE size = 5")
    world.log = world.open()
    report = audit_log(world.log, world.rules)
    assert "checkpoint 5: expected signatures by keys of this log or of the policy only" in (report.problem or "")
    options = Options(policy=policy_with(world, witness))
    assert audit_log(world.log, world.rules, options=options).verdict == "clean"


def rotated(world: World, *signers: Sequence[SigningKey]) -> list[tuple[int, bytes]]:
    """Checkpoints of 3 (before), 4 (the rotation) and 5, of a log whose key changes, each signed by some keys."""
    leaves = [merkle.leaf_hash(data) for data in world.entries()]
    return [
        (size, checkpoints.sign(Checkpoint(ORIGIN, size, merkle.root_of(leaves[:size])), keys))
        for size, keys in zip((3, 4, 5), signers, strict=True)
    ]


def new_log_key(world: World, key: SigningKey) -> Envelope:
    """The statement that makes `key` the log's, which the log has at hand."""
    world.log.signers.hold(key)
    body = msgspec.structs.replace(world.key_body(key, "log"), public_key=msgspec.UNSET, vkey=key.verifier.format())
    return world.key_statement(body, world.admins)


@pytest.mark.parametrize(
    ("first", "second", "third", "problem"),
    [
        ("o", "on", "n", None),
        ("o", "on", "on", None),
        ("o", "n", "n", "checkpoint 4: expected a signature by example.org/log+{old}, the log key of entry 0, found"),
        ("o", "o", "n", "checkpoint 4: expected a signature by example.org/log+{new}, the log key of entry 3, found"),
        ("o", "on", "o", "checkpoint 5: expected a signature by example.org/log+{new}, the log key of entry 3, found"),
        ("on", "on", "n", "checkpoint 3: expected signatures by log keys that it covers, found one by example.org/log+{new}"),
        ("n", "on", "n", "checkpoint 3: expected signatures by log keys that it covers, found one by example.org/log+{new}"),
    ],
)
def test_a_log_key_takes_over(make_world: Callable[..., World], first: str, second: str, third: str, problem: str | None) -> None:
    world = make_world()
    new = SigningKey.from_seed(ORIGIN, b"n" * 32)
    world.log.append(world.parties(1))
    world.log.append([new_log_key(world, new)])
    world.log.append(world.parties(1))
    by = {"o": world.log_key, "n": new}
    made = rotated(world, *([by[letter] for letter in each] for each in (first, second, third)))
    world.log.close()
    state = world.folder.parent / "state" / world.genesis_leaf.hex() / "checkpoint"
    state.unlink()
    change(
        world.folder,
        *(f"UPDATE checkpoints SET note = X'{note.hex()}' WHERE size = {size}" for size, note in made),
        f"UPDATE head SET note = X'{made[-1][1].hex()}'",
    )
    world.log = world.open()
    report = audit_log(world.log, world.rules)
    if problem is None:
        assert report.verdict == "clean", report
    else:
        ids = {"old": world.log_key.verifier.key_id.hex(), "new": new.verifier.key_id.hex()}
        assert problem.format(**ids) in (report.problem or "").removeprefix(f"{report.source}: checkpoint: "), report.problem
