"""The log as a state machine, step by step against the model in reference.py."""

import os
from datetime import UTC, datetime, timedelta
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
from inbond.ledger.merkle import leaf_hash, verify_consistency
from inbond.schemas import statement
from inbond.schemas.entry import Envelope
from tests.ledger.reference import Model, mth, path, subproof
from tests.ledger.world import NoRules, World, seqs

EXAMPLES = int(os.environ.get("INBOND_FAULTS", "8"))


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
        self.world = World(Path(self.folder.name) / "log", NoRules(), clock=lambda: self.now)
        self.logs = [self.world.log, self.world.open()]
        self.sizes = [1, 2]  # of every checkpoint
        assert self.append_to_model(self.world.genesis) == 0
        assert self.append_to_model(envelope_in(self.world.entries()[1])) == 1
        return self.world.party("first")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.audit()
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

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.logs[which].close()
        self.logs[which] = self.world.open()
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
        receipts.verify(receipt, leaf_hash(leaves[seq]), self.world.policy)

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
        for log in self.logs:
            with log.reading() as reader:
                assert (reader.size, reader.root) == (len(self.model.leaves), mth(self.model.leaves))
                assert notes.open_note(reader.note, [self.world.log_key.verifier])[0].text == self.model.checkpoint()
        with self.logs[0].reading() as reader:
            assert [data for _, data in reader.entries()] == self.model.leaves
            assert [size for size, _ in reader.checkpoints()] == self.sizes

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


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=EXAMPLES, stateful_step_count=15, deadline=None)
