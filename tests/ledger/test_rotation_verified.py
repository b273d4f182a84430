"""What others find in a log whose keys change: an audit of its files, and inbond-verify on files and receipts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import structs

from inbond.ledger import cosignatures, dsse, merkle, notes, verify
from inbond.ledger.checkpoints import LogSigner
from inbond.ledger.encoding import to_base64
from inbond.ledger.keys import COSIGNATURE_V1, VerifierKey
from inbond.ledger.notes import Note, NoteSignature
from inbond.ledger.policy import Group, TrustedLog, TrustPolicy, Witness
from inbond.schemas.errors import VerificationError
from tests.ledger.published import placed
from tests.ledger.rotated import NOW, Verdict, audited, bundle, note, published, trusting
from tests.ledger.test_rotation import ed25519, ending, ml_dsa, naming, rotate
from tests.ledger.world import ORIGIN, NoRules, World, seen


class Story:
    """Entries: 0 genesis with keys o and q, 1 and 2 the producer, 3 names n, 4 and 5 parties, 6 names r, 7 a party."""

    def __init__(self, folder: Path) -> None:
        self.world = world = World(folder, NoRules(), admins=2, threshold=2, more_log_keys=[ml_dsa("q")])
        self.by: dict[str, LogSigner] = {"o": world.log_key, "n": ed25519("n"), "x": ed25519("x")}
        self.by |= {letter: ml_dsa(letter) for letter in "qr"}
        world.log.append_one(world.enrol(world.producer, "compliance"))
        rotate(world, self.by["n"])
        world.log.append(world.parties(2))
        rotate(world, self.by["r"])
        world.log.append(world.parties(1))
        self.entries, self.genesis = world.entries(), world.genesis_leaf
        self.old, self.new = trusting(self.vkey("o")), trusting(self.vkey("n"), self.vkey("o"))

    def vkey(self, letter: str) -> VerifierKey:
        return self.by[letter].verifier

    def note(self, size: int, signers: str) -> bytes:
        return note(self.entries[:size], [self.by[letter] for letter in signers])

    def log(self, folder: Path, size: int, signed: bytes) -> Path:
        return published(folder, self.entries[:size], signed)

    def bundle(self, folder: Path, size: int, signers: str, **options: object) -> Path:
        return bundle(folder, self.entries[:size], self.note(size, signers), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("rotated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        story = Story(folder / "log")
        yield story
        story.world.log.close()


@pytest.mark.parametrize(
    ("size", "signers", "good"),
    [
        (3, "oq", True), (3, "qo", True), (3, "o", False), (3, "q", False), (3, "onq", False),
        (4, "onq", True), (4, "nq", False), (4, "oq", False), (4, "on", False),
        (6, "nq", True), (6, "onq", True), (6, "oq", False), (6, "n", False), (6, "q", False),
        (7, "nqr", True), (7, "nr", False), (7, "nq", False),
        (8, "nr", True), (8, "nqr", True), (8, "nq", False), (8, "or", False), (8, "nrx", False),
    ],
)  # fmt: skip
def test_the_signatures_that_a_checkpoint_needs(story: Story, tmp_path: Path, size: int, signers: str, good: bool) -> None:
    folder = story.log(tmp_path / "log", size, story.note(size, signers))
    report = audited(folder, story.genesis)
    found = Verdict(trusting(story.vkey("o"), story.vkey("n")), story.genesis, folder)
    if good:
        assert (report.verdict, report.problem) == ("clean", None)
        assert (found.code, found.of("FAILED")) == (0, "")
    else:
        assert report.verdict == "differs"
        assert "checkpoint: " in (report.problem or "")
        assert found.code == 3, found.lines


def changed(signed: bytes, at: int, change: Callable[[NoteSignature], NoteSignature]) -> bytes:
    """A note with one of its signature lines altered."""
    parsed = notes.parse(signed)
    lines = list(parsed.signatures)
    lines[at] = change(lines[at])
    return Note(parsed.text, tuple(lines)).to_bytes()


def alterations(story: Story) -> dict[str, bytes]:
    """Checkpoints of size 3 with a second line that is not what it seems."""
    signed, other = story.note(3, "oq"), notes.parse(story.note(2, "oq")).signatures[1]
    ed25519_key = story.by["o"]
    reused = VerifierKey(ORIGIN, COSIGNATURE_V1, story.vkey("o").public)
    text = notes.parse(signed).text

    def flipped(line: NoteSignature) -> NoteSignature:
        return NoteSignature(line.name, line.key_id, line.blob[:99] + bytes([line.blob[99] ^ 1]) + line.blob[100:])

    def later(line: NoteSignature) -> NoteSignature:
        return NoteSignature(line.name, line.key_id, (NOW + 1).to_bytes(8, "big") + line.blob[8:])

    def as_ed25519(line: NoteSignature) -> NoteSignature:
        return NoteSignature(line.name, line.key_id, ed25519_key.sign(text))  # type: ignore[union-attr]

    def under_another_type(line: NoteSignature) -> NoteSignature:
        message = cosignatures.ed25519_message(NOW, text)
        return NoteSignature(line.name, reused.key_id, NOW.to_bytes(8, "big") + ed25519_key.sign(message))  # type: ignore[union-attr]

    changes = {
        "of another checkpoint": lambda line: other,
        "flipped": flipped,
        "at another time": later,
        "an Ed25519 signature": as_ed25519,
        "the Ed25519 key under another type": under_another_type,
        "another key id": lambda line: NoteSignature(line.name, b"0000", line.blob),
        "the key id of the other key": lambda line: NoteSignature(line.name, story.vkey("o").key_id, line.blob),
        "another name": lambda line: NoteSignature("example.org/lag", line.key_id, line.blob),
        "cut off": lambda line: NoteSignature(line.name, line.key_id, line.blob[:-1]),
    }
    return {name: changed(signed, 1, change) for name, change in changes.items()}


ALTERED = ["of another checkpoint", "flipped", "at another time", "an Ed25519 signature", "the Ed25519 key under another type",
           "another key id", "the key id of the other key", "another name", "cut off"]  # fmt: skip

UNKNOWN = {"the Ed25519 key under another type", "another key id"}
"""Where receipts alone leave open whether a statement names the key that the line is by."""


@pytest.mark.parametrize("name", ALTERED)
def test_a_second_signature_that_is_altered(story: Story, tmp_path: Path, name: str) -> None:
    signed = alterations(story)[name]
    folder = story.log(tmp_path / "log", 3, signed)
    assert audited(folder, story.genesis).verdict == "differs"
    assert Verdict(story.old, story.genesis, folder).code == 3
    found = Verdict(story.old, story.genesis, bundle(tmp_path / "bundle", story.entries[:3], signed))
    assert found.code == (6 if name in UNKNOWN else 3), found.lines
    with pytest.raises(VerificationError):
        story.world.log.keyring.log.open(signed, ORIGIN)


def test_a_line_by_a_stranger_says_nothing(story: Story, tmp_path: Path) -> None:
    parsed = notes.parse(story.note(3, "oq"))
    stranger = NoteSignature("witness.example/w", b"abcd", bytes(72))
    signed = Note(parsed.text, (*parsed.signatures, stranger)).to_bytes()
    folder = story.log(tmp_path / "log", 3, signed)
    assert "witness.example/w+61626364" in (audited(folder, story.genesis, story.old).problem or "")
    whole = Verdict(story.old, story.genesis, folder)
    assert (whole.code, "witness.example/w+61626364" in whole.of("missing")) == (6, True)
    some = Verdict(story.old, story.genesis, bundle(tmp_path / "bundle", story.entries[:3], signed))
    assert (some.code, "witness.example/w+61626364" in some.of("noted")) == (0, True)


# -- receipts, and policies that are older than the key ---------------------------------------------------------------------


def test_receipts_from_before_keep_verifying(story: Story, tmp_path: Path) -> None:
    early = story.bundle(tmp_path / "early", 3, "oq")
    for policy in (story.old, story.new):
        assert Verdict(policy, story.genesis, early).code == 0
    found = Verdict(trusting(story.vkey("n")), story.genesis, early)  # which shows no statement that names n
    assert found.code == 3


def test_the_old_key_alone_is_refused_where_the_rotation_is_known(story: Story, tmp_path: Path) -> None:
    found = Verdict(story.new, story.genesis, story.bundle(tmp_path / "late", 8, "oq"))
    assert found.code == 3
    assert f"expected a signature by {ORIGIN}+{story.vkey('n').key_id.hex()}, the log key of entry 3" in found.of("FAILED")


def test_an_early_checkpoint_by_a_later_key(story: Story, tmp_path: Path) -> None:
    folder = story.bundle(tmp_path / "early", 3, "onq")
    story.log(folder / "log", 8, story.note(8, "nr"))
    found = Verdict(story.new, story.genesis, folder)
    assert (found.code, "expected signatures by log keys that it covers" in found.of("FAILED")) == (3, True)
    story.bundle(folder, 3, "oq")
    assert Verdict(story.new, story.genesis, folder).code == 0


def test_an_older_policy_follows_the_key(story: Story, tmp_path: Path) -> None:
    for number, folder in enumerate(
        [story.bundle(tmp_path / "bundle", 8, "nr"), story.log(tmp_path / "log", 8, story.note(8, "nr"))]
    ):
        found = Verdict(story.old, story.genesis, folder)
        assert (found.code, found.of("FAILED"), found.of("missing")) == (0, "", ""), number
        assert f"the log's key has changed to {ORIGIN}+" in found.of("noted")
        assert story.vkey("n").key_id.hex() in found.of("noted")
        now = Verdict(story.new, story.genesis, folder)
        assert (now.code, "has changed" in now.of("noted")) == (0, False)


def test_a_key_is_followed_from_what_the_policy_trusts_alone(story: Story, tmp_path: Path) -> None:
    late = story.bundle(tmp_path / "late", 8, "nr")
    assert Verdict(trusting(story.vkey("x")), story.genesis, late).code == 3
    assert Verdict(story.old, bytes(32), late).code == 3
    (late / "receipts" / "3.tlog-proof").unlink()
    found = Verdict(story.old, story.genesis, late)
    assert (found.code, f"makes {ORIGIN}+{story.vkey('n').key_id.hex()} a log key" in found.of("missing")) == (6, True)
    without_genesis = story.bundle(tmp_path / "other", 8, "nr", only=range(1, 8))
    assert Verdict(story.old, story.genesis, without_genesis).code == 3


def test_a_key_that_too_few_admins_name_is_not_followed(story: Story, tmp_path: Path) -> None:
    said = naming(story.world, story.by["x"], seen(1, story.genesis))
    one, others = said.signatures[:1], dsse.sign(dsse.payload_of(said), [story.world.producer, story.world.registry]).signatures
    whole = placed([said], story.entries[:3])
    enough = bundle(tmp_path / "enough", whole, note(whole, [story.by[letter] for letter in "oxq"]))
    assert Verdict(story.old, story.genesis, enough).code == 0
    for number, signatures in enumerate((one, others, (*one, *others))):
        entries = placed([structs.replace(said, signatures=signatures)], story.entries[:3])
        signed = note(entries, [story.by["x"]])
        found = Verdict(story.old, story.genesis, bundle(tmp_path / f"bundle-{number}", entries, signed))
        assert (found.code, "that a log of the policy signed" in found.of("FAILED")) == (3, True)
        signed = note(entries, [story.by[letter] for letter in "oxq"])
        folder = published(tmp_path / f"log-{number}", entries, signed)
        assert "signatures of 2 admin keys" in (audited(folder, story.genesis).problem or "")
        assert "signatures of 2 admins in force" in Verdict(story.old, story.genesis, folder).of("FAILED")


def test_a_reader_who_knows_of_the_rotation_refuses_the_old_key(story: Story) -> None:
    known = story.world.log.keyring.log
    for size, signers in ((3, "oq"), (4, "onq"), (6, "nq"), (6, "n"), (8, "nrx")):
        known.refuse_replaced(story.note(size, signers))
    for size, signers in ((6, "oq"), (8, "or"), (6, "o")):
        with pytest.raises(VerificationError, match="found one by a key that it has replaced"):
            known.refuse_replaced(story.note(size, signers))
    forged = changed(story.note(6, "on"), 1, lambda line: NoteSignature(line.name, line.key_id, bytes(64)))
    with pytest.raises(VerificationError, match="found one by a key that it has replaced"):
        known.refuse_replaced(forged)
    known.at(3).refuse_replaced(story.note(6, "nq"))  # who knows of o and q alone cannot tell


# -- policies that want both signatures -------------------------------------------------------------------------------------


def both(story: Story, *, ml_dsa: str) -> TrustPolicy:
    """The policy of a reader who wants ML-DSA-44 as well: its key as a witness in an `all` group."""
    witness = Witness("ml-dsa-44", story.vkey(ml_dsa))
    return TrustPolicy(
        (TrustedLog(story.vkey("o")), TrustedLog(story.vkey("n"))), (witness,), (Group("both", 1, ("ml-dsa-44",)),), "both"
    )


def test_a_policy_that_wants_both(story: Story, tmp_path: Path) -> None:
    policy = both(story, ml_dsa="q")
    assert policy.open_checkpoint(story.note(6, "nq")).size == 6
    with pytest.raises(VerificationError, match="quorum 'both'"):
        policy.open_checkpoint(story.note(6, "n"))
    with pytest.raises(VerificationError, match="that a log of the policy"):
        policy.open_checkpoint(story.note(6, "q"))
    assert Verdict(policy.format(), story.genesis, story.bundle(tmp_path / "good", 6, "nq")).code == 0
    assert Verdict(policy.format(), story.genesis, story.bundle(tmp_path / "bad", 6, "n")).code == 3


def test_such_a_policy_follows_the_ml_dsa_key_too(story: Story, tmp_path: Path) -> None:
    policy, late = both(story, ml_dsa="q"), story.bundle(tmp_path / "late", 8, "nr")
    with pytest.raises(VerificationError, match="quorum 'both'"):
        policy.open_checkpoint(story.note(8, "nr"))
    found = Verdict(policy.format(), story.genesis, late)
    assert (found.code, story.vkey("r").key_id.hex() in found.of("noted")) == (0, True)
    assert Verdict(both(story, ml_dsa="r").format(), story.genesis, late).code == 0


def test_a_reader_without_ml_dsa(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, without = story.bundle(tmp_path / "good", 6, "nq"), story.bundle(tmp_path / "without", 6, "n")
    monkeypatch.setattr(cosignatures, "ml_dsa_available", lambda: False)
    monkeypatch.setattr(verify, "HAS_ML_DSA", False)
    found = Verdict(story.new, story.genesis, good)
    assert (found.code, "has no ML-DSA-44" in found.of("noted")) == (0, True)
    assert TrustPolicy.parse(story.new).open_checkpoint(story.note(6, "n")).size == 6
    assert Verdict(story.new, story.genesis, without).code == 3  # that the signature is not there, anybody can see
    wanting = Verdict(both(story, ml_dsa="q").format(), story.genesis, good)
    assert (wanting.code, "rests on ML-DSA" in wanting.of("missing")) == (6, True)
    report = audited(story.log(tmp_path / "log", 6, story.note(6, "nq")), story.genesis)
    assert (report.verdict, report.problem) == ("inconclusive", None)


# -- keys that were revoked -------------------------------------------------------------------------------------------------


def test_a_revoked_key_need_not_sign_with_its_successor(make_world: Callable[..., World], tmp_path: Path) -> None:
    world, new = make_world("ended"), ed25519("n")
    world.log.signers.hold(new)
    world.log.append([naming(world, new), ending(world, world.log_key)])
    policy, by = trusting(new.verifier, world.log_key.verifier), {"o": world.log_key, "n": new}
    for signers, good in (("n", True), ("on", True), ("o", False)):
        folder = published(tmp_path / signers, world.entries(), note(world.entries(), [by[letter] for letter in signers]))
        report = audited(folder, world.genesis_leaf)
        assert (report.verdict == "clean") == good, report
        assert (Verdict(policy, world.genesis_leaf, folder).code == 0) == good


@pytest.mark.parametrize(("suspect", "code"), [(None, 0), (3, 0), (2, 6), (0, 6)])
def test_a_receipt_under_a_checkpoint_in_doubt(
    make_world: Callable[..., World], tmp_path: Path, suspect: int | None, code: int
) -> None:
    world, new = make_world("plain"), ed25519("n")
    world.log.append_one(world.enrol(world.producer, "compliance"))
    entries = placed([naming(world, new), ending(world, world.log_key, suspect), world.party("z")], world.entries())
    late, policy = note(entries, [new]), trusting(new.verifier, world.log_key.verifier)
    folder = bundle(tmp_path / "bundle", entries, late, only=[0, 1, 3, 4, 5])
    bundle(folder, entries[:3], note(entries[:3], [world.log_key]), only=[2])
    leaves = [merkle.leaf_hash(data) for data in entries]
    path = merkle.consistency_proof(3, 6, lambda level, i: merkle.root_of(leaves[i << level : (i + 1) << level]))
    (folder / "consistency").mkdir()
    (folder / "consistency" / "3-6").write_text("".join(to_base64(value) + "\n" for value in path))
    found = Verdict(policy, world.genesis_leaf, folder)
    assert (found.code, f"suspect beyond size {suspect}" in found.of("missing")) == (code, code == 6)
    published(folder / "log", entries, late)  # the whole log settles it
    assert Verdict(policy, world.genesis_leaf, folder).code == 0
