import pytest

from inbond.ledger import checkpoints, cosignatures, notes
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.keys import COSIGNATURE_V1, ML_DSA_44, SigningKey, VerifierKey
from inbond.ledger.notes import NoteSignature
from inbond.ledger.policy import Group, TrustedLog, TrustPolicy, Witness
from inbond.schemas.errors import InvalidInput, VerificationError

ORIGIN = "example.com/log"
LOG = SigningKey.from_seed(ORIGIN, bytes([1] * 32))
WITNESSES = {name: SigningKey.from_seed(f"{name}.example", name.encode() * 16) for name in ("X1", "X2", "X3", "Y1", "Y2")}
VKEYS = {name: VerifierKey(key.name, COSIGNATURE_V1, key.public.raw) for name, key in WITNESSES.items()}
POST_QUANTUM = VerifierKey(ORIGIN, ML_DSA_44, bytes(1312))
HEAD = Checkpoint(ORIGIN, 1, bytes(32))

TWO_FIRMS = f"""# a log, and witnesses of two firms
log {LOG.verifier.format()} https://example.com/log/

witness X1 {VKEYS["X1"].format()}
witness X2 {VKEYS["X2"].format()} https://x2.example/
\twitness  X3\t{VKEYS["X3"].format()}
group X-firm 2 X1 X2 X3
witness Y1 {VKEYS["Y1"].format()}
witness Y2 {VKEYS["Y2"].format()}
  # either will do
group Y-firm any Y1 Y2
group both all X-firm Y-firm
quorum both
"""


def signed(*names: str, key: SigningKey = LOG, head: Checkpoint = HEAD) -> bytes:
    """The head of the log with cosignatures of the named witnesses."""
    note = notes.parse(checkpoints.sign(head, [key]))
    cosignatures = []
    for name in names:
        signature = WITNESSES[name].sign(b"cosignature/v1\ntime 1700000000\n" + note.text)
        blob = (1_700_000_000).to_bytes(8, "big") + signature
        cosignatures.append(NoteSignature(VKEYS[name].name, VKEYS[name].key_id, blob))
    return notes.Note(note.text, (*note.signatures, *cosignatures)).to_bytes()


def test_a_policy_is_read_whole() -> None:
    policy = TrustPolicy.parse(TWO_FIRMS)
    assert policy.logs == (TrustedLog(LOG.verifier, "https://example.com/log/"),)
    assert [witness.name for witness in policy.witnesses] == ["X1", "X2", "X3", "Y1", "Y2"]
    assert policy.witnesses[1] == Witness("X2", VKEYS["X2"], "https://x2.example/")
    assert policy.groups == (
        Group("X-firm", 2, ("X1", "X2", "X3")),
        Group("Y-firm", 1, ("Y1", "Y2")),
        Group("both", 2, ("X-firm", "Y-firm")),
    )
    assert policy.quorum == "both"
    assert TrustPolicy.parse(policy.format().encode()) == policy


@pytest.mark.parametrize("names", [["X1", "X2", "Y1"], ["Y2", "X3", "X1"], ["X1", "X2", "X3", "Y1", "Y2"]])
def test_a_met_quorum_opens_the_checkpoint(names: list[str]) -> None:
    assert TrustPolicy.parse(TWO_FIRMS).open_checkpoint(signed(*names)) == HEAD


@pytest.mark.parametrize("names", [[], ["X1", "X2", "X3"], ["Y1", "Y2", "X1"], ["X1", "X1", "Y1"]])
def test_an_unmet_quorum_does_not(names: list[str]) -> None:
    with pytest.raises(VerificationError, match="meet the quorum 'both'"):
        TrustPolicy.parse(TWO_FIRMS).open_checkpoint(signed(*names))


def test_cosignatures_without_the_log_are_not_enough() -> None:
    stranger = SigningKey.from_seed(ORIGIN, bytes([9] * 32))
    with pytest.raises(VerificationError, match="signed for itself"):
        TrustPolicy.parse(TWO_FIRMS).open_checkpoint(signed("X1", "X2", "Y1", key=stranger))


def test_a_trusted_log_speaks_for_no_other_log() -> None:
    other = SigningKey.from_seed("example.com/other", bytes([7] * 32))
    policy = TrustPolicy((TrustedLog(LOG.verifier), TrustedLog(other.verifier)))
    with pytest.raises(VerificationError, match="signed for itself"):
        policy.open_checkpoint(signed(key=other))
    head = Checkpoint(other.name, 1, bytes(32))
    assert policy.open_checkpoint(signed(key=other, head=head)) == head


def test_a_witness_whose_signature_fails_rejects_a_checkpoint_that_would_do_without_it() -> None:
    note = notes.parse(signed("X1", "X2", "Y1", "Y2"))
    *good, last = note.signatures
    bad = NoteSignature(last.name, last.key_id, last.blob[:-1] + bytes([last.blob[-1] ^ 1]))
    with pytest.raises(VerificationError, match="valid signature by Y2"):
        TrustPolicy.parse(TWO_FIRMS).open_checkpoint(notes.Note(note.text, (*good, bad)).to_bytes())


def test_ml_dsa_keys_are_named_as_what_is_missing_where_the_library_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosignatures, "IMPORTED", False)
    text = f"log {LOG.verifier.format()}\nwitness pq {POST_QUANTUM.format()}\nwitness X1 {VKEYS['X1'].format()}\n"
    either = TrustPolicy.parse(text + "group g any pq X1\nquorum g\n")
    assert either.open_checkpoint(signed("X1")) == HEAD
    both = TrustPolicy.parse(text + "group g all pq X1\nquorum g\n")
    with pytest.raises(VerificationError, match=r"ML-DSA-44 cannot be used here: .*; left out: pq"):
        both.open_checkpoint(signed("X1"))
    with pytest.raises(VerificationError, match=f"left out: {ORIGIN}"):
        TrustPolicy((TrustedLog(POST_QUANTUM),)).open_checkpoint(signed())


def test_a_policy_without_logs_opens_nothing() -> None:
    with pytest.raises(VerificationError, match="expected a log"):
        TrustPolicy.parse("quorum none\n").open_checkpoint(signed())


LINES = f"log {LOG.verifier.format()}\nwitness a {VKEYS['X1'].format()}\nwitness b {VKEYS['X2'].format()}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "policy: expected one line 'quorum"),
        (LINES, "policy: expected one line 'quorum"),
        (LINES + "quorum none\nquorum none\n", "line 5: expected one quorum line"),
        (LINES + "quorum c\n", "line 4: expected a quorum of a name defined above"),
        ("quorum a\n" + LINES, "line 1: expected a quorum of a name defined above"),
        (LINES + "quorum a b\n", "line 4: expected 'log"),
        (LINES + "group g any\nquorum g\n", "line 4: expected 'log"),
        (LINES + "group g any c\nquorum g\n", "line 4: group 'g': expected members"),
        (LINES + "group g any g\nquorum g\n", "line 4: group 'g': expected members"),
        (LINES + "group g any none\nquorum g\n", "line 4: group 'g': expected members"),
        (LINES + "group g any a a\nquorum g\n", "line 4: group 'g': expected members"),
        (LINES + "group g any a\ngroup h any a\nquorum g\n", "line 5: group 'h': expected members"),
        (LINES + "group g 0 a b\nquorum g\n", "1 to 2 of its members"),
        (LINES + "group g 3 a b\nquorum g\n", "1 to 2 of its members"),
        (LINES + "group g 01 a b\nquorum g\n", "1 to 2 of its members"),
        (LINES + "group g most a b\nquorum g\n", "1 to 2 of its members"),
        (LINES + f"witness a {VKEYS['X3'].format()}\nquorum a\n", "line 4: expected a new name"),
        (LINES + f"witness none {VKEYS['X3'].format()}\nquorum a\n", "line 4: expected a new name"),
        (LINES + "group a any b\nquorum a\n", "line 4: expected a new name"),
        (LINES + f"witness c {VKEYS['X1'].format()}\nquorum c\n", "line 4: expected each public key once"),
        (LINES + f"log {LOG.verifier.format()}\nquorum a\n", "line 4: expected each public key once"),
        (f"log {VKEYS['X1'].format()}\nquorum none\n", "line 1: expected a key of type 01 or 06"),
        (f"witness a {LOG.verifier.format()}\nquorum a\n", "line 1: expected a key of type 04 or 06"),
        (f"log {LOG.verifier.format()[:-1]}A\nquorum none\n", "line 1: verifier key"),
        ("log example.com\nquorum none\n", "line 1: verifier key"),
        ("sigsum\nquorum none\n", "line 1: expected 'log"),
        ("quorum none\r\n", "line 1: expected no control characters"),
        ("quorum\u00a0none\n", "line 1: expected 'log"),
        (b"# caf\xe9\nquorum none\n", "expected UTF-8"),
        ("#" * (1 << 20) + "\nquorum none\n", "at most 1048576 bytes"),
    ],
)
def test_what_the_format_does_not_allow_is_refused_with_its_line(text: str | bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        TrustPolicy.parse(text)
    assert message in refusal.value.message


def test_a_policy_that_no_file_can_hold_is_not_written() -> None:
    log = TrustedLog(LOG.verifier)
    for policy in [
        TrustPolicy((log,), quorum="nobody"),
        TrustPolicy((log,), (Witness("a b", VKEYS["X1"]),)),
        TrustPolicy((TrustedLog(LOG.verifier, "https://example.com/\nquorum none"),)),
        TrustPolicy((log,), groups=(Group("g", 1, ("a",)),), quorum="g"),
    ]:
        with pytest.raises(InvalidInput):
            policy.format()


def test_the_format_supports_what_the_specification_asks_for() -> None:
    keys = [SigningKey.from_seed(f"key{i}.example", i.to_bytes(32, "big")) for i in range(96)]
    lines = [f"log {key.verifier.format()}" for key in keys[:32]]
    for i, key in enumerate(keys[32:]):
        lines.append(f"witness w{i} {VerifierKey(key.name, COSIGNATURE_V1, key.public.raw).format()}")
    lines.append("group g0 all w0")
    lines += [f"group g{i} all w{i} g{i - 1}" for i in range(1, 64)]
    policy = TrustPolicy.parse("\n".join([*lines, "quorum g63"]))
    assert TrustPolicy.parse(policy.format()) == policy
    with pytest.raises(VerificationError, match="quorum 'g63'"):
        policy.open_checkpoint(checkpoints.sign(Checkpoint(keys[0].name, 1, bytes(32)), keys[:1]))
