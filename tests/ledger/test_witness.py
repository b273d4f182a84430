"""What a witness answers: the published dialogues, and every line of the specification's table."""

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import checkpoints, cosignatures, loglist, notes, witness
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.cosigning import Pushback, Witness
from inbond.ledger.encoding import to_base64
from inbond.ledger.keys import COSIGNATURE_V1, ED25519, ML_DSA_44, SigningKey, VerifierKey
from inbond.ledger.loglist import KnownLog
from inbond.ledger.notes import Note, NoteSignature
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.witness import MAX_REQUEST, AddCheckpoint
from inbond.ledger.witness_state import FRESH, WitnessState
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, NotFound, NotPermitted, StoreError, VerificationError
from tests.ledger.test_parsers import altered
from tests.ledger.witnessed import COSIGNER, KNOWN, LOG_KEY, NOW, ORIGIN, POST_QUANTUM, PlainLog, dialogue

LOG = PlainLog()
FORK = PlainLog(fork=5)


class Clock:
    """A clock that tests set."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[WitnessState]:
    made = WitnessState.create(tmp_path / "witness.db")
    yield made
    made.close()


@pytest.fixture
def one(state: WitnessState, clock: Clock) -> Witness:
    return Witness(state, [COSIGNER], KNOWN, clock=clock)


def refused(one: Witness, body: bytes) -> tuple[int, InbondError]:
    with pytest.raises(InbondError) as error:
        one.add_checkpoint(body)
    return error.value.status, error.value


def cosigned(answer: bytes, note: bytes, *keys: VerifierKey) -> list[int]:
    """The times of cosignatures in an answer, which all verify under `keys`, one each."""
    text = notes.parse(note).text
    found, signers = notes.open_note(text + b"\n" + answer, keys)
    assert set(signers) == set(keys)
    assert len(found.signatures) == len(keys)
    return [int.from_bytes(each.blob[:8], "big") for each in found.signatures]


# The dialogues ---------------------------------------------------------------------------------------------------------

SIGSUM = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
SIGSUM_KEY = VerifierKey(SIGSUM, ED25519, bytes.fromhex("ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f"))
SUMDB = KnownLog(
    "go.sum database tree", (VerifierKey.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"),)
)
# The table has changed since the dialogues were written: a log that is not known is 404 by now.
SINCE_THEN = {("unknown log", 403): 404}


@pytest.mark.parametrize(
    ("file", "log"), [("add-checkpoint-dialogue.txt", KnownLog(SIGSUM, (SIGSUM_KEY,))), ("sumdb-dialogue.txt", SUMDB)]
)
def test_the_published_dialogues(file: str, log: KnownLog, state: WitnessState, shared_vectors: Path) -> None:
    cosigner = Cosigner("example.com/witness", COSIGNATURE_V1, bytes(32))
    one = Witness(state, [cosigner], [log])
    exchanges = dialogue(shared_vectors / "witness" / file)
    assert len(exchanges) == {"add-checkpoint-dialogue.txt": 9, "sumdb-dialogue.txt": 1}[file]
    for body, status, contains in exchanges:
        try:
            found, text = 200, one.add_checkpoint(body).decode()
        except InbondError as error:
            found, text = error.status, f"{error.members['size']}\n" if isinstance(error, Conflict) else error.message
        assert found == SINCE_THEN.get((contains, status), status), text
        assert text == contains.removeprefix("==") if contains.startswith("==") else contains in text


def test_the_production_log_of_go_whose_origin_is_not_its_keys_name(state: WitnessState) -> None:
    """The dialogue with the checksum database, retyped."""
    body = (
        "old 0\n\ngo.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n"
        "— sum.golang.org "
        "Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=\n"
    ).encode()
    one = Witness(state, [COSIGNER], [SUMDB])
    assert cosigned(one.add_checkpoint(body), body.partition(b"\n\n")[2], COSIGNER.verifier)
    policy = TrustPolicy.parse(f"log {SUMDB.keys[0].format()}\nquorum none\n")
    with pytest.raises(NotFound):  # in a policy the key's name is the origin, so that is another log
        Witness(state, [COSIGNER], loglist.logs_of(policy)).add_checkpoint(body)


# The table -------------------------------------------------------------------------------------------------------------


def test_a_log_grows_under_a_witness(one: Witness, clock: Clock) -> None:
    for old, new in [(0, 0), (0, 1), (1, 2), (2, 3), (3, 8), (8, 8), (8, 13), (13, 40)]:
        clock.now += 100
        assert cosigned(one.add_checkpoint(LOG.body(old, new)), LOG.note(new), COSIGNER.verifier) == [int(clock.now)]


@pytest.mark.parametrize("size", [1, 7])
def test_a_first_checkpoint_may_have_any_size(one: Witness, size: int) -> None:
    cosigned(one.add_checkpoint(LOG.body(0, size)), LOG.note(size), COSIGNER.verifier)


def test_a_log_that_is_not_known(one: Witness) -> None:
    stranger = PlainLog(key=SigningKey.from_seed("log.example/two", bytes(32)))
    assert refused(one, stranger.body(0, 1))[0] == 404


def test_a_signature_that_is_no_base64_fails_like_any_other(one: Witness) -> None:
    body = LOG.body(0, 9)
    assert refused(one, body.replace(b"=\n", b"-\n"))[0] == 400  # the root is none either
    assert refused(one, body[:-2] + b"-\n")[0] == 403
    assert refused(one, body[:-2] + b"x-\n")[0] == 403


def test_what_the_log_has_not_signed(one: Witness) -> None:
    stranger = SigningKey.from_seed(ORIGIN, bytes([9] * 32))
    assert refused(one, AddCheckpoint.make(0, [], LOG.note(1, stranger)).to_bytes())[0] == 403
    note = notes.parse(LOG.note(1))
    flipped = NoteSignature(ORIGIN, note.signatures[0].key_id, note.signatures[0].blob[:-1] + b"\0")
    beside = Note(note.text, (*note.signatures, flipped)).to_bytes()  # one good signature does not excuse a bad one
    assert refused(one, AddCheckpoint.make(0, [], beside).to_bytes())[0] == 403


def test_signatures_of_others_are_ignored_and_not_kept(one: Witness) -> None:
    stranger = SigningKey.from_seed("someone.example", bytes([9] * 32))
    answer = one.add_checkpoint(AddCheckpoint.make(0, [], LOG.note(3, stranger, LOG_KEY)).to_bytes())
    cosigned(answer, LOG.note(3), COSIGNER.verifier)
    kept = notes.parse(one.checkpoint(hash_of(ORIGIN)))
    assert [each.name for each in kept.signatures] == [ORIGIN, COSIGNER.name]


def test_an_old_size_beyond_the_checkpoint(one: Witness) -> None:
    one.add_checkpoint(LOG.body(0, 8))
    assert refused(one, LOG.request(8, 8).to_bytes().replace(b"old 8", b"old 9"))[0] == 400


@pytest.mark.parametrize("old", [0, 1, 7, 9])
def test_another_old_size_than_the_one_cosigned_last(one: Witness, old: int) -> None:
    one.add_checkpoint(LOG.body(0, 8))
    status, error = refused(one, LOG.body(old, 9))
    assert (status, error.members["size"]) == (409, 8)


def test_a_witness_that_has_seen_nothing_says_so(one: Witness) -> None:
    status, error = refused(one, LOG.body(3, 9))
    assert (status, error.members["size"]) == (409, 0)


def test_a_proof_from_size_zero_must_be_empty(one: Witness) -> None:
    assert refused(one, AddCheckpoint.make(0, [bytes(32)], LOG.note(3)).to_bytes())[0] == 422


def test_proofs_that_do_not_verify(one: Witness) -> None:
    one.add_checkpoint(LOG.body(0, 5))
    good = LOG.proof(5, 9)
    for proof in ([], good[:-1], [*good, bytes(32)], good[::-1], [bytes(32), *good[1:]]):
        status, error = refused(one, AddCheckpoint.make(5, proof, LOG.note(9)).to_bytes())
        assert (status, "consistency proof" in error.message) == (422, True)
    other = PlainLog(fork=4)  # a fork before the size that was cosigned: no proof leads there
    assert refused(one, AddCheckpoint.make(5, other.proof(5, 9), other.note(9)).to_bytes())[0] == 422
    cosigned(one.add_checkpoint(LOG.body(5, 9)), LOG.note(9), COSIGNER.verifier)


def test_another_root_for_the_same_size_is_refused_and_kept_as_proof(one: Witness, state: WitnessState) -> None:
    one.add_checkpoint(LOG.body(0, 9))
    assert refused(one, FORK.body(9, 9))[0] == 422
    assert refused(one, FORK.body(9, 9))[0] == 422
    assert refused(one, FORK.body(0, 9))[0] == 409  # it is proof also where the old size is a wrong one
    [found] = state.contradictions()
    verified = [notes.open_note(each, [LOG_KEY.verifier])[0].text for each in (found.note, found.cosigned)]
    assert [checkpoints.parse(text) for text in verified] == [FORK.head(9), LOG.head(9)]


def test_the_empty_tree_has_one_root(one: Witness) -> None:
    text = f"{ORIGIN}\n0\n{to_base64(bytes(32))}\n".encode()
    assert refused(one, AddCheckpoint.make(0, [], notes.sign(text, [LOG_KEY])).to_bytes())[0] == 422
    cosigned(one.add_checkpoint(LOG.body(0, 0)), LOG.note(0), COSIGNER.verifier)


def test_the_signature_is_looked_at_before_the_sizes(one: Witness) -> None:
    """An unsigned checkpoint must not learn what was cosigned, nor be told that its proof is wrong."""
    one.add_checkpoint(LOG.body(0, 5))
    stranger = SigningKey.from_seed(ORIGIN, bytes([9] * 32))
    for old in (0, 9, 40):
        assert refused(one, AddCheckpoint.make(old, [], LOG.note(9, stranger)).to_bytes())[0] == 403


NOTE = LOG.note(9)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"old 0", b"old 0\n", b"old 0\n\n", b"\n\n" + NOTE, NOTE, b"old 0\n" + NOTE, b"old\n\n" + NOTE, b"old \n\n" + NOTE,
        b"old 00\n\n" + NOTE, b"old 01\n\n" + NOTE, b"old +1\n\n" + NOTE, b"old -1\n\n" + NOTE, b"old 0 \n\n" + NOTE,
        b"old  0\n\n" + NOTE, b" old 0\n\n" + NOTE, b"OLD 0\n\n" + NOTE, b"old 0\r\n\r\n" + NOTE, b"old 0x0\n\n" + NOTE,
        "old \u0660\n\n".encode() + NOTE, b"old 9223372036854775808\n\n" + NOTE, b"old 0\n\n\n" + NOTE,
        b"old 5\n" + b"A" * 43 + b"\n\n" + NOTE,  # no padding
        b"old 5\n" + to_base64(bytes(31)).encode() + b"\n\n" + NOTE,
        b"old 5\n" + to_base64(bytes(33)).encode() + b"\n\n" + NOTE,
        b"old 5\n" + b"_" * 43 + b"=\n\n" + NOTE,  # URL-safe
        b"old 5\n" + b"A" * 42 + b"B=\n\n" + NOTE,  # bits that mean nothing
        b"old 5\n " + to_base64(bytes(32)).encode() + b"\n\n" + NOTE,
        b"old 5\n" + (to_base64(bytes(32)).encode() + b"\n") * 64 + b"\n" + NOTE,
        b"old 0\n\n" + NOTE[:-1], b"old 0\n\n" + NOTE + b"\n", b"old 0\n\n" + NOTE.replace(b"\n9\n", b"\n09\n"),
        b"old 0\n\n" + notes.sign(LOG.head(9).text() + b"extension\n", [LOG_KEY]),
        b"old 0\n\n" + notes.sign(LOG.head(9).text()[:-45], [LOG_KEY]),
        b"old 0\n\n" + NOTE.replace(b"log.example", b"log\x00example"), b"old 0\n\n" + NOTE.replace(b"log.", b"\xff."),
        b"old 0\n\n" + NOTE + b"x" * MAX_REQUEST,
    ],
)  # fmt: skip
def test_what_is_no_request(one: Witness, body: bytes) -> None:
    assert refused(one, body)[0] == 400


@settings(max_examples=300, deadline=None, database=None)
@given(altered(LOG.body(5, 40)))
def test_the_parser_accepts_only_what_it_writes_and_raises_only_two_errors(body: bytes) -> None:
    try:
        request = witness.parse(body)
    except (InvalidInput, NotPermitted):
        return
    assert request.to_bytes() == body


@settings(max_examples=200, deadline=None, database=None)
@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63), st.integers(0, 40))
def test_a_request_is_read_as_it_was_written(old: int, proof: list[bytes], size: int) -> None:
    made = AddCheckpoint.make(old, proof, LOG.note(size))
    assert (made.old, list(made.proof), made.checkpoint) == (old, proof, LOG.head(size))
    assert witness.parse(made.to_bytes()) == made


# What is kept ----------------------------------------------------------------------------------------------------------


def hash_of(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()


def test_monitors_get_the_newest_checkpoint_with_all_signatures(one: Witness, clock: Clock) -> None:
    with pytest.raises(NotFound):
        one.checkpoint(hash_of(ORIGIN))
    first = one.add_checkpoint(LOG.body(0, 5))
    clock.now += 1
    assert one.checkpoint(hash_of(ORIGIN)) == LOG.note(5) + first
    answer = one.add_checkpoint(LOG.body(5, 9))
    assert one.checkpoint(hash_of(ORIGIN)) == LOG.note(9) + answer
    refused(one, FORK.body(9, 9))
    assert one.checkpoint(hash_of(ORIGIN)) == LOG.note(9) + answer


def test_the_same_checkpoint_again_costs_a_write_only_when_it_is_old(one: Witness, clock: Clock) -> None:
    first = one.add_checkpoint(LOG.body(0, 5))
    clock.now += FRESH - 1
    assert one.add_checkpoint(LOG.body(5, 5)) == first
    clock.now += 1
    assert cosigned(one.add_checkpoint(LOG.body(5, 5)), LOG.note(5), COSIGNER.verifier) == [NOW + FRESH]


def test_a_new_key_of_the_witness_signs_at_once(one: Witness, state: WitnessState, clock: Clock) -> None:
    one.add_checkpoint(LOG.body(0, 5))
    both = Witness(state, [COSIGNER, POST_QUANTUM], KNOWN, clock=clock)
    times = cosigned(both.add_checkpoint(LOG.body(5, 5)), LOG.note(5), COSIGNER.verifier, POST_QUANTUM.verifier)
    assert times == [NOW, NOW]


def test_time_never_runs_back(one: Witness, clock: Clock) -> None:
    one.add_checkpoint(LOG.body(0, 5))
    clock.now -= 3000
    assert cosigned(one.add_checkpoint(LOG.body(5, 9)), LOG.note(9), COSIGNER.verifier) == [NOW]
    clock.now -= 3000
    status, error = refused(one, LOG.body(9, 12))
    assert isinstance(error, StoreError)
    assert (status, "more than an hour" in error.message) == (503, True)
    clock.now = NOW
    cosigned(one.add_checkpoint(LOG.body(9, 12)), LOG.note(12), COSIGNER.verifier)  # and nothing was kept of it


def test_a_state_goes_on_where_it_was(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "deep" / "witness.db"
    with pytest.raises(NotFound) as missing:
        WitnessState.open(path)
    assert "--new" in (missing.value.hint or "")
    state = WitnessState.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    Witness(state, [COSIGNER], KNOWN, clock=clock).add_checkpoint(LOG.body(0, 5))
    state.close()
    with pytest.raises(StoreError):
        state.all()
    with pytest.raises(Conflict):
        WitnessState.create(path)
    state = WitnessState.open(path)
    assert refused(Witness(state, [COSIGNER], KNOWN, clock=clock), LOG.body(0, 9))[1].members["size"] == 5
    state.close()


def test_a_file_of_another_kind_is_not_a_state(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()  # what a disk may leave of a state: it must not be taken for a beginning
    for name, script in [("other.db", "CREATE TABLE latest (a)"), ("kind.db", "PRAGMA application_id=7"), ("empty.db", "")]:
        connection = sqlite3.connect(tmp_path / name)
        connection.executescript(script)
        connection.close()
        with pytest.raises(VerificationError, match="expected a state file of kind"):
            WitnessState.open(tmp_path / name)
    (tmp_path / "text").write_bytes(b"no database" * 1000)
    with pytest.raises(VerificationError, match="damaged"):
        WitnessState.open(tmp_path / "text")


# Who may ask, and how often --------------------------------------------------------------------------------------------


def test_a_log_that_asks_too_often_hears_when_to_come_back(state: WitnessState, clock: Clock) -> None:
    one = Witness(state, [COSIGNER], [KnownLog(ORIGIN, (LOG_KEY.verifier,), qpd=1440)], clock=clock)
    log = PlainLog(70)
    for size in range(60):
        one.add_checkpoint(log.body(size, size + 1))
        refused(one, log.body(0, 69))  # 409: others who repeat what the log once said do not use up what it may ask
    with pytest.raises(Pushback) as pushback:
        one.add_checkpoint(log.body(60, 61))
    assert (pushback.value.status, pushback.value.retry_after) == (429, 60)
    clock.now += 60
    one.add_checkpoint(log.body(60, 61))


def test_what_a_witness_is_not_started_with(state: WitnessState, monkeypatch: pytest.MonkeyPatch) -> None:
    own = KnownLog(ORIGIN, (VerifierKey(ORIGIN, ED25519, COSIGNER.verifier.public),))
    twice = KnownLog(ORIGIN, (LOG_KEY.verifier, LOG_KEY.verifier))
    for cosigners, logs, message in [
        ([COSIGNER], [], "at least one log"),
        ([], KNOWN, "at least one key"),
        ([COSIGNER, Cosigner("w2", COSIGNATURE_V1, bytes([2] * 32))], KNOWN, "one twice"),
        ([COSIGNER], [own], "not the witness's own"),
        ([COSIGNER], [twice], "two alike"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            Witness(state, cosigners, logs)
    monkeypatch.setattr(cosignatures, "IMPORTED", False)
    with pytest.raises(InvalidInput, match="ML-DSA-44"):
        Witness(state, [COSIGNER], [KnownLog(ORIGIN, (VerifierKey(ORIGIN, ML_DSA_44, bytes(1312)),))])


def test_several_keys_of_one_log(state: WitnessState, clock: Clock) -> None:
    second = SigningKey.from_seed(ORIGIN, bytes([7] * 32))
    text = f"log {LOG_KEY.verifier.format()}\nlog {second.verifier.format()}\nquorum none\n"
    one = Witness(state, [COSIGNER], loglist.logs_of(TrustPolicy.parse(text)), clock=clock)
    one.add_checkpoint(LOG.body(0, 3))
    one.add_checkpoint(AddCheckpoint.make(3, LOG.proof(3, 5), LOG.note(5, second)).to_bytes())
    one.add_checkpoint(AddCheckpoint.make(5, LOG.proof(5, 6), LOG.note(6, LOG_KEY, second)).to_bytes())
    assert len(notes.parse(one.checkpoint(hash_of(ORIGIN))).signatures) == 3


# Lists of logs ---------------------------------------------------------------------------------------------------------

LIST = f"""#
# List: testing

  logs/v0
\t
# one
vkey {LOG_KEY.verifier.format()}
qpd 86400
contact https://log.example/contact
vkey {SUMDB.keys[0].format()}
\torigin go.sum database tree
qpd 24\t
  contact sysadmin (at) bar.org
"""


def test_a_list_of_logs() -> None:
    first, second = loglist.parse(LIST.encode())
    assert first == KnownLog(ORIGIN, (LOG_KEY.verifier,), 86_400, "https://log.example/contact")
    assert second == KnownLog("go.sum database tree", SUMDB.keys, 24, "sysadmin (at) bar.org")
    assert loglist.parse(b"logs/v0\n") == []


BLOCK = f"vkey {LOG_KEY.verifier.format()}\nqpd 1\ncontact x\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "logs/v0 first"),
        ("logs/v1\n", "logs/v0 first"),
        (BLOCK, "logs/v0 first"),
        ("logs/v0 x\n", "logs/v0 first"),
        ("logs/v0\nlogs/v0\n", "expected a line 'vkey'"),
        ("logs/v0\nvkey x+y\nqpd 1\ncontact x\n", "verifier key"),
        (f"logs/v0\nvkey {COSIGNER.verifier.format()}\nqpd 1\ncontact x\n", "type 01 or 06"),
        ("logs/v0\n" + BLOCK.replace("qpd 1", "qpd 0"), "qpd as a number"),
        ("logs/v0\n" + BLOCK.replace("qpd 1", "qpd 01"), "qpd as a number"),
        ("logs/v0\n" + BLOCK.replace("qpd 1", "qpd 2147483648"), "qpd as a number"),
        ("logs/v0\n" + BLOCK.replace("contact x\n", ""), "the end"),
        ("logs/v0\n" + BLOCK.replace("qpd 1\n", ""), "expected a line 'qpd', found 'contact'"),
        ("logs/v0\n" + BLOCK + BLOCK, "the log of line 5: expected each origin once"),
        ("logs/v0\n" + BLOCK.replace("qpd", f"origin {'x' * 256}\nqpd"), "origin of 1 to 255"),
        (b"logs/v0\n# \xff\n", "UTF-8"),
    ],
)
def test_what_is_no_list(text: str | bytes, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        loglist.parse(text.encode() if isinstance(text, str) else text)
    assert message in error.value.message


@settings(max_examples=200, deadline=None, database=None)
@given(altered(LIST.encode()))
def test_a_list_raises_only_one_error(data: bytes) -> None:
    try:
        logs = loglist.parse(data)
    except InvalidInput:
        return
    assert len({log.origin for log in logs}) == len(logs)
