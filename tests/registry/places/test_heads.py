"""A machine follows one history of a log, over processes and days, and keeps what proves another."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inbond.ledger import notes
from inbond.ledger.checkpoints import Checkpoint, sign
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.encoding import from_base64
from inbond.ledger.keys import COSIGNATURE_V1
from inbond.ledger.merkle import verify_consistency
from inbond.ledger.policy import TrustedLog, TrustPolicy, Witness
from inbond.registry.places import heads as heads_module
from inbond.registry.places.heads import Asking, Heads, others_of
from inbond.schemas.errors import Inconclusive, StoreError, VerificationError
from tests.ledger.world import ORIGIN, World

ADDRESS = "https://registry.example"


@dataclass
class Shown:
    """A log as a server shows it: of its real state, or of what a test makes of that."""

    world: World
    note: bytes | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)
    held: int | None = None  # the size that it was rolled back to

    def ask(self) -> bytes:
        if self.note is not None:
            return self.note
        with self.world.log.reading() as reader:
            return reader.note

    def consistency(self, old: int, new: int) -> Sequence[bytes]:
        self.asked.append((old, new))
        if self.held is not None and new > self.held:
            raise VerificationError(f"size {new} is beyond this log")
        with self.world.log.reading() as reader:
            return reader.consistency(old, new)

    def heads(self) -> Heads:
        return self.under(self.world.policy)

    def under(self, policy: TrustPolicy) -> Heads:
        return Heads(ADDRESS, self.world.genesis_leaf, ORIGIN, policy, Asking(self.ask, self.at, self.consistency))

    def at(self, size: int) -> bytes:
        with self.world.log.reading() as reader:
            return reader.checkpoint(size)

    def grow(self, count: int = 1) -> bytes:
        self.world.log.append(self.world.parties(count))
        return self.ask()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def shown(state: Path, tmp_path: Path) -> Shown:
    return Shown(World(tmp_path / "log"))


def test_a_log_is_followed_from_one_process_to_the_next(shown: Shown, state: Path) -> None:
    assert shown.heads().newest().size == 2
    shown.grow(5)
    assert shown.heads().newest().size == 7
    assert shown.asked == [(2, 7)]
    seen = state / shown.world.genesis_leaf.hex() / "seen"
    assert seen.read_bytes() == shown.ask()
    assert seen.stat().st_mode & 0o777 == 0o600
    assert (seen.parent / "checkpoint").read_bytes() == shown.ask(), "the log's own file is another"


def test_the_same_head_again_asks_for_nothing(shown: Shown) -> None:
    heads = shown.heads()
    assert heads.newest() == heads.newest() == heads.accept(shown.ask())
    assert shown.asked == []


def test_an_older_head_with_a_receipt_is_fine_but_an_older_newest_head_is_a_rollback(shown: Shown, state: Path) -> None:
    old = shown.ask()
    new = shown.grow()
    heads = shown.heads()
    heads.newest()
    assert heads.accept(old).size == 2
    shown.note = old
    assert heads.newest().size == 3, "it shows an older head, but holds what it has shown before"
    shown.held = 2
    with pytest.raises(
        VerificationError, match="expected a head of at least size 3, which it had before, found size 2"
    ) as caught:
        heads.newest()
    assert evidence(caught.value, state) == [new, old]
    shown.note = shown.held = None
    assert heads.newest().size == 3, "what was refused is not remembered"


def test_a_fork_of_the_same_size_is_caught_and_both_heads_are_kept(shown: Shown, state: Path, tmp_path: Path) -> None:
    other = fork(shown, tmp_path)
    mine, theirs = shown.grow(), other.grow()
    heads = shown.heads()
    heads.newest()
    with pytest.raises(VerificationError, match="expected one history, found heads of sizes 3 and 3") as caught:
        heads.accept(theirs)
    assert evidence(caught.value, state) == [mine, theirs]


def test_a_fork_that_goes_on_further_is_caught_by_its_own_proof(shown: Shown, state: Path, tmp_path: Path) -> None:
    other = fork(shown, tmp_path)
    mine, theirs = shown.grow(2), other.grow(5)
    heads = shown.heads()
    heads.newest()
    shown.note, shown.world = theirs, other.world
    with pytest.raises(VerificationError, match="found heads of sizes 4 and 7 of which neither continues the other") as caught:
        heads.newest()
    assert evidence(caught.value, state) == [mine, theirs]
    proof = Path(caught.value.members["evidence"]).read_text().partition("-- proof that came with it --\n")[2].split()
    with pytest.raises(VerificationError):
        verify_consistency(4, 7, [from_base64(line, "proof") for line in proof], heads.open(mine).root, heads.open(theirs).root)


def test_a_head_that_this_log_did_not_sign_is_refused(shown: Shown) -> None:
    heads = shown.heads()
    stranger = shown.world.key("stranger")
    with pytest.raises(VerificationError, match="expected a signature by"):
        heads.accept(sign(Checkpoint(ORIGIN, 5, bytes(32)), [stranger]))
    both = TrustPolicy(logs=(*shown.world.policy.logs, TrustedLog(stranger.verifier)))
    heads = shown.under(both)
    with pytest.raises(VerificationError, match=f"expected a head of the log {ORIGIN}, found one of {stranger.name}"):
        heads.accept(sign(Checkpoint(stranger.name, 5, bytes(32)), [stranger]))


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff"])
def test_a_damaged_memory_is_not_taken_for_none(shown: Shown, state: Path, damage: bytes) -> None:
    shown.heads().newest()
    seen = state / shown.world.genesis_leaf.hex() / "seen"
    seen.write_bytes(damage)
    with pytest.raises(VerificationError, match=re.escape(f"{seen}: expected a head of {ORIGIN}")) as caught:
        shown.heads().newest()
    assert "before you remove it" in str(caught.value.hint)


def test_a_folder_that_cannot_be_written_is_said(shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("INBOND_STATE", str(blocked / "state"))
    with pytest.raises(StoreError, match=f"{blocked}/state") as caught:
        shown.heads().newest()
    assert "INBOND_STATE" in str(caught.value.hint)


def test_another_log_of_the_same_name_and_key_is_found(shown: Shown, tmp_path: Path) -> None:
    shown.heads().newest()
    again = Shown(World(tmp_path / "again"))
    assert again.world.genesis_leaf != shown.world.genesis_leaf
    [path] = others_of(ORIGIN, again.world.genesis_leaf, again.world.policy)
    assert path.parent.name == shown.world.genesis_leaf.hex()
    assert others_of(ORIGIN, shown.world.genesis_leaf, shown.world.policy) == []
    assert others_of("example.org/other", again.world.genesis_leaf, again.world.policy) == []


# Witnesses --------------------------------------------------------------------------------------------------------------

WITNESS = Cosigner("witness.example/one", COSIGNATURE_V1, bytes([7] * 32))


@pytest.fixture
def wanting(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> TrustPolicy:
    """A policy that wants one witness, for a reader who does not wait."""
    monkeypatch.setattr(heads_module, "PATIENCE", 0.0)
    return TrustPolicy(shown.world.policy.logs, (Witness("one", WITNESS.verifier),), (), "one")


def cosigned(note: bytes) -> bytes:
    parsed = notes.parse(note)
    return notes.Note(parsed.text, (*parsed.signatures, WITNESS.cosign(parsed.text, 1_800_000_000))).to_bytes()


def test_nothing_is_read_from_a_log_that_no_witness_has_seen(shown: Shown, wanting: TrustPolicy, state: Path) -> None:
    heads = shown.under(wanting)
    for ask in (heads.newest, lambda: heads.expect_witnessed(1)):
        with pytest.raises(
            Inconclusive, match="expected cosignatures that meet the policy's quorum 'one' on a head of at least size 1"
        ):
            ask()
    seen = state / shown.world.genesis_leaf.hex() / "seen"
    assert seen.read_bytes() == shown.ask(), "a fork would be noticed all the same"
    assert not (seen.parent / "witnessed").exists()
    assert Inconclusive.exit_code == 6


def test_reading_goes_on_under_the_newest_head_with_the_quorum(shown: Shown, wanting: TrustPolicy, state: Path) -> None:
    shown.note = cosigned(shown.ask())  # as a server with such a policy shows it
    heads = shown.under(wanting)
    assert heads.newest().size == 2
    heads.expect_witnessed(2)
    assert heads.remark() is None
    later = grown(shown, 3)
    assert heads.accept(later).size == 5, "a receipt of what was put on record just now"
    heads.rely(5)
    assert heads.remark() == (
        "not yet witnessed: this rests on the log's signature alone for entries 2 to 4; the quorum 'one' of the policy is met "
        "up to size 2"
    )
    assert heads.newest().size == 2, "it shows an older head, as long as it holds the newer"
    with pytest.raises(Inconclusive, match="of at least size 5, found: them up to size 2"):
        heads.expect_witnessed(5)
    shown.note = cosigned(later)
    heads.expect_witnessed(5)
    assert heads.remark() is None
    assert shown.under(wanting).newest().size == 5
    shown.note = later  # and to those who have seen it, it cannot be taken away
    assert shown.under(wanting).newest().size == 5
    assert (state / shown.world.genesis_leaf.hex() / "witnessed").read_bytes() == cosigned(later)


def test_a_reader_waits_for_witnesses(shown: Shown, wanting: TrustPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads_module, "PATIENCE", 30.0)
    asked = []

    def pause(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) == 3:
            shown.note = cosigned(shown.ask())

    monkeypatch.setattr(heads_module.time, "sleep", pause)
    shown.under(wanting).expect_witnessed(2)
    assert asked == [1.0, 1.0, 1.0]


def test_a_fork_is_caught_whoever_has_cosigned_it(shown: Shown, wanting: TrustPolicy, state: Path, tmp_path: Path) -> None:
    other = fork(shown, tmp_path)
    mine, theirs = cosigned(shown.grow()), other.grow()
    heads = shown.under(wanting)
    heads.accept(mine)
    for note in (theirs, cosigned(theirs)):
        with pytest.raises(VerificationError, match="expected one history, found heads of sizes 3 and 3") as caught:
            heads.accept(note)
        assert evidence(caught.value, state) == [mine, note]


def test_another_policy_does_not_believe_the_same_witnesses(shown: Shown, wanting: TrustPolicy) -> None:
    shown.note = cosigned(shown.ask())
    assert shown.under(wanting).newest().size == 2
    stranger = Cosigner("witness.example/two", COSIGNATURE_V1, bytes([8] * 32))
    other = TrustPolicy(wanting.logs, (Witness("two", stranger.verifier),), (), "two")
    with pytest.raises(Inconclusive):
        shown.under(other).newest()
    assert shown.under(wanting).newest().size == 2
    assert shown.heads().newest().size == 2


def grown(shown: Shown, count: int) -> bytes:
    """The newest head after some more entries, which the server does not show."""
    shown.world.log.append(shown.world.parties(count))
    with shown.world.log.reading() as reader:
        return reader.note


def test_threads_that_follow_a_growing_log_agree(shown: Shown) -> None:
    heads, failures = shown.heads(), list[Exception]()

    def follow() -> None:
        try:
            for _ in range(30):
                heads.newest()
        except VerificationError as error:
            failures.append(error)

    threads = [threading.Thread(target=follow) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        shown.grow()
    for thread in threads:
        thread.join()
    assert failures == []
    assert heads.newest().size == 22


def test_processes_that_follow_a_growing_log_agree(shown: Shown, state: Path, tmp_path: Path) -> None:
    notes = [shown.grow() for _ in range(12)]
    sizes = [(old, new) for new in range(1, 15) for old in range(1, new)]
    given = {
        "genesis": shown.world.genesis_leaf.hex(),
        "origin": ORIGIN,
        "policy": shown.world.policy.format(),
        "notes": [note.hex() for note in notes],
        "proofs": {f"{old} {new}": [value.hex() for value in shown.consistency(old, new)] for old, new in sizes},
    }
    (tmp_path / "given.json").write_text(json.dumps(given))
    command = [sys.executable, str(Path(__file__).with_name("following.py")), str(tmp_path / "given.json")]
    workers = [subprocess.Popen([*command, str(start)]) for start in (0, 5, 9)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert (state / shown.world.genesis_leaf.hex() / "seen").read_bytes() == notes[-1]


def fork(shown: Shown, tmp_path: Path) -> Shown:
    """A copy of the log that goes on on its own, its high-water file left behind: the same key, other entries."""
    shutil.copytree(shown.world.folder, tmp_path / "fork")
    world = World(tmp_path / "fork", create=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(tmp_path / "fork-state"))
        world.log = world.open()
    return Shown(world)


def evidence(error: VerificationError, state: Path) -> list[bytes]:
    """The two signed heads in the file that an error names."""
    path = Path(error.members["evidence"])
    assert str(path) in error.message
    assert path.is_relative_to(state)
    data = path.read_bytes().partition(b"-- proof that came with it --\n")[0]
    return data.partition(b"-- seen before --\n")[2].split(b"-- found --\n")
