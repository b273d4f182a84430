"""What receipts prove of a statement, under keys, a policy and a genesis hash; and what each of them refuses."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inbond.ledger import merkle, notes
from inbond.ledger.checkpoints import LogSigner
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.keys import COSIGNATURE_V1, SigningKey
from inbond.ledger.policy import TrustedLog, TrustPolicy, Witness
from inbond.ledger.receipts import Receipt
from inbond.registry.evidence import Evidence, receipt_of, receipts_of
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import Inconclusive, InvalidInput, NotFound, VerificationError
from tests.ledger.published import placed
from tests.ledger.rotated import note
from tests.ledger.test_rotation import ed25519, ending, naming
from tests.ledger.world import ORIGIN, NoRules, World

WITNESS = Cosigner("witness.example/w", COSIGNATURE_V1, b"w" * 32)
OTHER = SigningKey.from_seed("example.org/elsewhere", b"e" * 32)
LATER = "2026-11-21T13:00:00.000Z"


class Told:
    """A log of entries that nobody admitted: 0 genesis, 1 the producer, 2 compliance, and then what a test places.

    `key_entries` are those whose receipts a reader is given; `signers` sign every checkpoint.
    """

    def __init__(self, world: World) -> None:
        self.world, self.signers = world, [world.log_key]
        self.compliance = world.key("compliance")
        self.entries = placed([world.enrol(self.compliance, "compliance")], world.entries())
        self.key_entries = [0, 1, 2]

    def add(self, *envelopes: Envelope | tuple[Envelope, str], keys: bool = False) -> int:
        """Place entries; the place of the last."""
        first = len(self.entries)
        self.entries = placed(envelopes, self.entries)
        self.key_entries += range(first, len(self.entries)) if keys else ()
        return len(self.entries) - 1

    def party(self, *keys: SigningKey, **header: Any) -> Envelope:
        return self.world.party("p", keys=list(keys or [self.compliance]), seen=None, **header)

    def receipt(self, seq: int, size: int | None = None, signers: Sequence[LogSigner] | None = None) -> Receipt:
        entries = self.entries[:size]
        leaves = [merkle.leaf_hash(data) for data in entries]
        path = merkle.inclusion_proof(seq, len(leaves), lambda level, i: merkle.root_of(leaves[i << level : (i + 1) << level]))
        return Receipt(seq, tuple(path), note(entries, signers or self.signers), entries[seq])

    def evidence(self, policy: TrustPolicy | None = None, genesis: bytes | None = None, but: int | None = None) -> Evidence:
        given = [self.receipt(seq) for seq in self.key_entries if seq != but]
        return Evidence(policy or self.world.policy, genesis or self.world.genesis_leaf, given)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("evidence")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(folder / "log", NoRules())
        yield world
        world.log.close()


@pytest.fixture
def told(log: World) -> Told:
    """Nothing is appended to the log: what a test places is its own."""
    return Told(log)


def test_a_statement_comes_with_its_signers(told: Told) -> None:
    at = told.add(told.party())
    draft = told.evidence().statement(told.receipt(at))
    assert (draft.seq, draft.kind, [signer.keyid for signer in draft.signers]) == (
        at,
        "party",
        [told.compliance.public.fingerprint],
    )
    assert draft.signers[0].roles == {"compliance"}


def test_two_roots_of_one_size_are_two_histories(told: Told) -> None:
    told.add(told.party())
    evidence = told.evidence()
    other = told.entries[:3]
    told.entries = placed([told.party()], other)
    with pytest.raises(VerificationError, match=r"receipt of entry 3: expected root .*the log shows two histories"):
        evidence.statement(told.receipt(3))


def test_heads_of_other_sizes_are_one_history_as_far_as_receipts_tell(told: Told) -> None:
    told.add(told.party(), told.party())
    assert told.evidence().statement(told.receipt(3, 4)).seq == 3


def test_two_roots_among_the_keys_are_two_histories(told: Told) -> None:
    told.add(told.party())
    [genesis, producer], common = [told.receipt(seq) for seq in (0, 1)], told.entries[:3]
    told.entries = placed([told.party()], common)
    with pytest.raises(VerificationError, match=r"receipt of entry 2: expected root .*two histories"):
        Evidence(told.world.policy, told.world.genesis_leaf, [genesis, producer, told.receipt(2)])


def test_a_header_of_another_registry_is_refused(told: Told) -> None:
    at = told.add(told.party(registry="example.org/other"))
    with pytest.raises(VerificationError, match=f"entry {at}, party:.*expected registry {ORIGIN}, found example.org/other"):
        told.evidence().statement(told.receipt(at))


def test_a_checkpoint_of_another_log_is_refused(told: Told, tmp_path: Path) -> None:
    at = told.add(told.party())
    evidence = told.evidence(TrustPolicy((TrustedLog(told.world.log_key.verifier), TrustedLog(OTHER.verifier))))
    proof = told.receipt(at)
    text = notes.parse(proof.checkpoint).text.replace(ORIGIN.encode(), OTHER.name.encode())
    with pytest.raises(
        VerificationError, match=f"receipt of entry {at}: checkpoint: expected origin '{ORIGIN}', found '{OTHER.name}'"
    ):
        evidence.statement(replace(proof, checkpoint=notes.sign(text, [told.world.log_key, OTHER])))


@pytest.mark.parametrize(("size", "good"), [(4, True), (5, False), (6, False)])
def test_a_log_key_is_doubted_beyond_the_size_from_which_it_is_suspect(told: Told, size: int, good: bool) -> None:
    world, old, new = told.world, told.world.log_key, ed25519("n")
    policy = TrustPolicy((TrustedLog(old.verifier), TrustedLog(new.verifier)))
    told.add(told.party(), told.party(), told.party())
    told.add(naming(world, new), ending(world, old, suspect=4), keys=True)
    told.signers = [new]
    evidence = told.evidence(policy)
    assert evidence.statement(told.receipt(3)).seq == 3
    proof = told.receipt(3, size, [old])
    if good:
        assert evidence.statement(proof).seq == 3
    else:
        with pytest.raises(Inconclusive, match="receipt of entry 3: its log key is suspect beyond size 4"):
            evidence.statement(proof)


def test_a_checkpoint_by_a_log_key_that_was_replaced_is_refused(told: Told) -> None:
    world, old, new = told.world, told.world.log_key, ed25519("n")
    told.add(naming(world, new), keys=True)
    at = told.add(told.party())
    told.signers = [old, new]
    policy = TrustPolicy((TrustedLog(old.verifier), TrustedLog(new.verifier)))
    evidence = told.evidence(policy)
    assert evidence.statement(told.receipt(at)).seq == at
    with pytest.raises(VerificationError, match=f"receipt of entry {at}: checkpoint {at + 1}: expected a signature by"):
        evidence.statement(told.receipt(at, signers=[old]))


def test_a_log_key_that_no_key_entry_names_is_not_followed(told: Told) -> None:
    told.add(naming(told.world, ed25519("n")), keys=True)
    told.signers = [told.world.log_key, ed25519("n")]
    at = told.add(told.party())
    evidence = told.evidence()
    assert evidence.statement(told.receipt(at, signers=[ed25519("n")])).seq == at  # named by the admins
    with pytest.raises(VerificationError, match=f"receipt of entry {at}: "):
        evidence.statement(told.receipt(at, signers=[ed25519("x")]))


def test_a_log_key_that_came_after_the_policy_and_was_revoked_is_not_followed(told: Told) -> None:
    new, newer = ed25519("n"), ed25519("r")
    told.add(naming(told.world, new), keys=True)
    at = told.add(told.party())
    told.add(naming(told.world, newer), keys=True)
    told.signers = [told.world.log_key, new, newer]
    proof = told.receipt(at, at + 1, [new])
    assert told.evidence().statement(proof).seq == at
    told.add(ending(told.world, new), keys=True)
    with pytest.raises(VerificationError, match=f"receipt of entry {at}: "):
        told.evidence().statement(proof)


def test_a_signature_without_the_role_is_refused(told: Told) -> None:
    at = told.add(told.party(told.world.producer))
    with pytest.raises(VerificationError, match="expected a signature in the role compliance, found one as producer"):
        told.evidence().statement(told.receipt(at))


def test_a_signature_that_does_not_hold_is_refused(told: Told) -> None:
    signed, other = told.party(), told.party()
    forged = Envelope(payload=other.payload, payload_type=other.payload_type, signatures=signed.signatures)
    at = told.add(forged)
    with pytest.raises(VerificationError, match=f"entry {at}, party:"):
        told.evidence().statement(told.receipt(at))


def test_a_revoked_key_is_good_for_what_it_signed_before(told: Told) -> None:
    before = told.add(told.party())
    revoked = told.add(told.world.revoke(told.compliance), keys=True)
    after = told.add(told.party())
    evidence = told.evidence()
    assert evidence.statement(told.receipt(before)).seq == before
    with pytest.raises(VerificationError, match=f"was revoked by entry {revoked}: expected a key in force"):
        evidence.statement(told.receipt(after))


def test_a_key_signs_nothing_before_its_entry_nor_after_its_end(told: Told) -> None:
    later = told.world.key("later")
    early = told.add(told.party(later))
    told.add((told.world.enrol(later, "compliance", not_after=LATER), LATER), keys=True)
    good = told.add(told.party(later))
    late = told.add((told.party(later), "2026-11-21T13:00:00.001Z"))
    evidence = told.evidence()
    assert evidence.statement(told.receipt(good)).seq == good
    with pytest.raises(Inconclusive, match=f"entry {early}, party:.*that the given key entries enrol before it"):
        evidence.statement(told.receipt(early))
    with pytest.raises(VerificationError, match=f"expired at {LATER}"):
        evidence.statement(told.receipt(late))


def test_doubt_reaches_what_a_doubtful_key_brought(told: Told) -> None:
    at = told.add(told.party())
    admin = told.world.admins[0]
    second = told.world.key("admin-2")
    told.add(told.world.enrol(second, "admin"), keys=True)
    held, keys = list(told.entries), list(told.key_entries)
    told.add(told.world.revoke(admin, [second], suspect_from_seq=3), keys=True)
    assert told.evidence().statement(told.receipt(at)).seq == at  # it enrolled the signer before the doubt begins
    told.entries, told.key_entries = held, keys
    told.add(told.world.revoke(admin, [second], suspect_from_seq=2), keys=True)
    with pytest.raises(Inconclusive, match="which signed entry 2, was revoked as suspect from entry 2"):
        told.evidence().statement(told.receipt(at))


def test_an_enrolment_that_the_admins_did_not_sign_is_refused(told: Told) -> None:
    stranger = told.world.key("stranger")
    told.add(told.world.enrol(stranger, "compliance", keys=[stranger]), keys=True)
    with pytest.raises(VerificationError, match="expected signatures of 1 admin keys, found 0"):
        told.evidence()


def test_a_quorum_of_witnesses_is_asked_for(told: Told) -> None:
    at = told.add(told.party())
    logs = told.world.policy.logs
    policy = TrustPolicy(logs, (Witness("w", WITNESS.verifier),), quorum="w")
    with pytest.raises(VerificationError, match=r"receipt of entry 0: .*that meet the quorum 'w', found none"):
        told.evidence(policy)
    told.signers.append(WITNESS)  # type: ignore[arg-type]
    assert told.evidence(policy).statement(told.receipt(at)).seq == at
    with pytest.raises(VerificationError, match=f"receipt of entry {at}: .*quorum 'w', found none"):
        told.evidence(policy).statement(told.receipt(at, signers=[told.world.log_key]))


def test_the_policy_of_another_log_accepts_nothing(told: Told) -> None:
    with pytest.raises(VerificationError, match="receipt of entry 0: "):
        told.evidence(TrustPolicy((TrustedLog(ed25519("x").verifier),)))


def test_genesis_is_the_pinned_one_and_is_there(told: Told) -> None:
    with pytest.raises(VerificationError, match=r"genesis: expected the leaf hash 0000.*, found"):
        told.evidence(genesis=bytes(32))
    with pytest.raises(Inconclusive, match=r"expected the receipt of genesis .* found 2 others"):
        told.evidence(but=0)


def test_a_key_entry_that_is_not_given_proves_nothing(told: Told) -> None:
    at = told.add(told.party())
    with pytest.raises(Inconclusive, match="expected signatures by keys that the given key entries enrol before it"):
        told.evidence(but=2).statement(told.receipt(at))


def test_a_receipt_of_another_entry_is_refused(told: Told) -> None:
    at = told.add(told.party(), told.party())
    evidence = told.evidence()
    with pytest.raises(VerificationError, match=f"receipt of entry {at}: expected the entry of that number"):
        evidence.statement(replace(told.receipt(at), extra=told.entries[at - 1]))
    altered = replace(told.receipt(at), extra=told.entries[at].replace(b'"time":"20', b'"time":"19'))
    with pytest.raises(VerificationError, match=f"receipt of entry {at}: .*expected"):
        evidence.statement(altered)


def test_an_entry_that_stands_at_another_place_is_refused(told: Told) -> None:
    at = told.add(told.party())
    told.entries.append(told.entries[at])
    with pytest.raises(VerificationError, match=f"receipt of entry {at + 1}: expected the entry of that number, found a party"):
        told.evidence().statement(told.receipt(at + 1))


def test_a_second_genesis_is_refused(told: Told) -> None:
    told.entries = placed([told.party(), told.world.make_genesis()], told.entries)
    with pytest.raises(VerificationError, match="receipt of entry 4: expected the entry of that number, found a genesis"):
        told.evidence().statement(told.receipt(4))


def test_a_receipt_without_its_entry_is_refused(told: Told) -> None:
    at = told.add(told.party())
    with pytest.raises(InvalidInput, match="expected it with the entry's bytes, found it without"):
        told.evidence().statement(replace(told.receipt(at), extra=None))


def test_a_missing_receipt_is_named(told: Told, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"7\.tlog-proof: expected a receipt \(\.tlog-proof\), found none"):
        receipt_of(tmp_path / "7.tlog-proof")
    (tmp_path / "keys").mkdir()
    assert receipts_of(tmp_path / "keys") == []
    with pytest.raises(NotFound, match="expected a receipt"):
        receipt_of(tmp_path / "keys")
    (tmp_path / "keys" / "0.tlog-proof").write_bytes(b"no receipt")
    with pytest.raises(VerificationError, match=r"0\.tlog-proof: receipt: expected"):
        receipts_of(tmp_path / "keys")
