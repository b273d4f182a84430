"""The log as a state machine, step by step against the model in reference.py."""

import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from inbond.ledger import dsse, notes, receipts
from inbond.ledger.audit import audit_log
from inbond.ledger.checkpoints import Checkpoint, LogSigner
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.keys import ED25519, ML_DSA_44, SigningKey, VerifierKey
from inbond.ledger.log import Log
from inbond.ledger.merkle import leaf_hash, verify_consistency
from inbond.ledger.policy import TrustedLog, TrustPolicy
from inbond.schemas import statement
from inbond.schemas.entry import Envelope
from inbond.schemas.statements import Custody, Key, Revocation, RevocationReason
from tests import postgres
from tests.ledger.reference import Model, mth, path, subproof
from tests.ledger.world import NoRules, World, seqs

TYPES = [ED25519, ML_DSA_44]
EXAMPLES = max(2, int(os.environ.get("INBOND_FAULTS", "20")) // 4)


class Machine(RuleBasedStateMachine):
    """Two log objects on one log take turns; statements come anew, again, under taken ids, in batches of all of these."""

    sent = Bundle("sent")

    @initialize(target=sent)
    def make(self) -> Envelope:
        self.folder = TemporaryDirectory()
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("INBOND_STATE", self.folder.name + "/state")
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.latest = self.now
        self.model = Model("example.org/log")
        folder = Path(self.folder.name) / "log"
        self.world = World(folder, NoRules(), clock=lambda: self.now, database=self.new_database())
        self.keys: list[LogSigner] = [self.world.log_key]
        self.logs = [self.world.log, self.open()]
        self.sizes = [1, 2]  # of every checkpoint
        self.model.keys[self.world.log_key.verifier.format()] = 0
        assert self.append_to_model(self.world.genesis) == 0
        assert self.append_to_model(envelope_in(self.world.entries()[1])) == 1
        return self.world.party("first")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.audit()
            assert self.world.entries() == self.model.leaves
            with self.world.log.reading() as reader:
                assert [size for size, _ in reader.checkpoints()] == self.sizes
            for log in self.logs:
                log.close()
            self.patch.undo()
            self.folder.cleanup()

    # What a log is asked to take

    @rule(target=sent, count=st.integers(1, 5), which=st.integers(0, 1))
    def append(self, count: int, which: int) -> Any:
        fresh = self.world.parties(count)
        self.send(which, fresh)
        return multiple(*fresh)

    @rule(count=st.sampled_from([120, 254, 256]), which=st.integers(0, 1))
    @precondition(lambda self: self.sizes[-1] < 300)  # past the edge of a tile; the model is slow
    def many(self, count: int, which: int) -> None:
        self.send(which, [self.world.numbered(self.sizes[-1] + number) for number in range(count)])

    @rule(batch=st.lists(sent, min_size=1, max_size=6), which=st.integers(0, 1))
    def again(self, batch: list[Envelope], which: int) -> None:
        self.send(which, batch)

    @rule(target=sent, other=sent)
    def other_payload_under_a_taken_id(self, other: Envelope) -> Envelope:
        return self.world.party(self.world.id(), id=statement.read(dsse.payload_of(other)).header.id)

    @rule(target=sent, other=sent)
    def same_payload_signed_anew(self, other: Envelope) -> Envelope:
        return dsse.sign(dsse.payload_of(other), [self.world.producer, self.world.registry])

    @rule(target=sent)
    def for_another_log(self) -> Envelope:
        return self.world.party("x", registry="example.net/other")

    # What happens to it meanwhile

    @rule(type=st.sampled_from(TYPES), revoke=st.booleans(), more=st.integers(0, 2), which=st.integers(0, 1))
    def rotate(self, type: int, revoke: bool, more: int, which: int) -> None:
        """A new log key, perhaps with the end of the one before, in the middle of a batch."""
        seed = bytes([type, len(self.keys)]) * 16
        key = SigningKey.from_seed("example.org/log", seed) if type == ED25519 else Cosigner("example.org/log", type, seed)
        batch = [*self.world.parties(more), self.about(key), *self.world.parties(more)]
        before = next((each for each in reversed(self.keys) if each.verifier.type == type), None)
        if revoke and before is not None:
            batch.append(self.about(before, revocation=Revocation(reason=RevocationReason.RETIRED)))
            self.model.ends[before.verifier.format()] = len(self.model.leaves) + len(batch) - 1
        self.model.keys[key.verifier.format()] = len(self.model.leaves) + more
        for log in self.logs:
            log.signers.hold(key)
        self.keys.append(key)
        self.send(which, batch)

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.logs[which].close()
        self.logs[which] = self.open()
        self.world.log = self.logs[0]

    @rule(seconds=st.integers(-3000, 3000))
    def the_clock_moves(self, seconds: int) -> None:
        self.now = max(self.now + timedelta(seconds=seconds), self.latest - timedelta(minutes=59))

    @rule()
    def audit(self) -> None:
        report = audit_log(self.logs[0], self.world.rules)
        assert (report.verdict, report.size) == ("clean", len(self.model.leaves)), report

    # What it proves

    @rule(data=st.data(), which=st.integers(0, 1))
    def prove_inclusion(self, data: st.DataObject, which: int) -> None:
        size = data.draw(st.sampled_from(self.sizes))
        seq = data.draw(st.integers(0, size - 1))
        receipt = self.logs[which].receipt(seq, size)
        leaves = self.model.leaves[:size]
        assert (receipt.extra, list(receipt.proof)) == (leaves[seq], path(seq, leaves))
        assert notes.parse(receipt.checkpoint).text == self.model.checkpoint(size)
        receipts.verify(receipt, leaf_hash(leaves[seq]), self.policy(size))

    @rule(data=st.data(), which=st.integers(0, 1))
    def prove_consistency(self, data: st.DataObject, which: int) -> None:
        new = data.draw(st.integers(1, len(self.model.leaves)))
        old = data.draw(st.integers(1, new))
        leaves = self.model.leaves[:new]
        with self.logs[which].reading() as reader:
            proof = reader.consistency(old, new)
        assert proof == subproof(old, leaves)
        verify_consistency(old, new, proof, mth(leaves[:old]), mth(leaves))

    # What always holds

    @invariant()
    def the_head_is_the_models(self) -> None:
        expected = self.model.checkpoint()
        for log in self.logs:
            with log.reading() as reader:
                note, signed = notes.open_note(reader.note, [key.verifier for key in self.keys])
                assert note.text == Checkpoint("example.org/log", reader.size, reader.root).text() == expected
                assert sorted(key.format() for key in signed) == self.model.signers(self.sizes[-1], self.sizes[-2])
                assert len(note.signatures) == len(signed)
                assert [data for _, data in reader.entries(self.sizes[-2])] == self.model.leaves[self.sizes[-2] :]

    def new_database(self) -> str | None:
        return None

    def open(self) -> Log:
        return Log(self.world.folder, self.world.rules, self.keys, clock=self.world.clock)

    def policy(self, size: int) -> TrustPolicy:
        """The Ed25519 keys that signed the checkpoint of `size`: whoever verifies a receipt from then knows these."""
        before = self.sizes[self.sizes.index(size) - 1] if size > 1 else 0
        due = [VerifierKey.parse(vkey) for vkey in self.model.signers(size, before)]
        return TrustPolicy(logs=tuple(TrustedLog(key) for key in due if key.type == ED25519))

    def about(self, key: LogSigner, **fields: Any) -> Envelope:
        """The admin's statement about a log key."""
        body = Key(
            vkey=key.verifier.format(),
            fingerprint=sha256(key.verifier.public).hexdigest(),
            party=self.world.operator,
            roles=("log",),
            custody=Custody.FILE,
            **fields,
        )
        return self.world.key_statement(body, self.world.admins)

    def send(self, which: int, batch: list[Envelope]) -> None:
        before = len(self.model.leaves)
        assert seqs(self.logs[which].append(batch)) == [self.append_to_model(envelope) for envelope in batch]
        if len(self.model.leaves) > before:
            self.sizes.append(len(self.model.leaves))

    def append_to_model(self, envelope: Envelope) -> int | None:
        before = len(self.model.leaves)
        seq = self.model.append(msgspec.to_builtins(envelope), f"{max(self.now, self.latest):%Y-%m-%dT%H:%M:%S.000Z}")
        if len(self.model.leaves) > before:
            self.latest = max(self.now, self.latest)
        return seq


def envelope_in(data: bytes) -> Envelope:
    return msgspec.convert(msgspec.json.decode(data)["dsse"], Envelope)


class PostgresMachine(Machine):
    """The same on PostgreSQL."""

    def new_database(self) -> str | None:
        return postgres.new_schema()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=EXAMPLES, stateful_step_count=15, deadline=None)
TestPostgresMachine = PostgresMachine.TestCase
TestPostgresMachine.settings = settings(max_examples=EXAMPLES // 2, stateful_step_count=15, deadline=None)
