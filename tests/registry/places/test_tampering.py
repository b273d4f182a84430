"""A server that lies, or a network that does: each lie is caught by name, and no record reaches the caller unverified."""

import base64
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inbond.ledger import receipts
from inbond.ledger.receipts import Receipt
from inbond.registry import listing
from inbond.registry.deciding import open_ask, settle
from inbond.registry.registry import Registry
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import (
    InbondError,
    Inconclusive,
    NotFound,
    PolicyDenied,
    StoreError,
    VerificationError,
)
from inbond.schemas.statements import Question, ReleasePlan
from tests.registry.places.conftest import Client, Connect
from tests.registry.places.proxy import Change, Passed, between
from tests.registry.places.served import Server, serving_folder
from tests.registry.world import CHAT_ROWS, messages

TRUTH = [f"chat answer {i}" for i in range(CHAT_ROWS)]

CONTENT, BLOCKS, OBJECT = "/v1/shards/[0-9a-f]+/content", "/v1/shards/[0-9a-f]+/blocks", "/v1/objects/.*"
STATEMENT, RECEIPT, RESOLVE = "/v1/[a-z]+/[0-9a-f]+/statement", "/v1/ledger/entries/[0-9]+/receipt", "/v1/resolve"
CHECKPOINT, CONSISTENCY, KEYS = "/ledger/checkpoint", "/v1/ledger/consistency", "/v1/keys"


def flip(at: float = 0.5) -> Change:
    """One bit of the body, at a fraction of it."""

    def change(passed: Passed) -> Passed:
        body = bytearray(passed.body)
        body[min(int(at * len(body)), len(body) - 1)] ^= 1
        return passed.with_body(bytes(body))

    return change


def instead(status: int, body: bytes = b"") -> Change:
    return lambda passed: replace(passed, status=status, body=body)


def header(name: str, value: str) -> Change:
    return lambda passed: passed.with_header(name, value)


def body(change: Callable[[bytes], bytes]) -> Change:
    return lambda passed: passed.with_body(change(passed.body))


def receipt(**changes: object) -> Change:
    """A receipt with some of its parts replaced."""

    def change(passed: Passed) -> Passed:
        found = receipts.parse(passed.body)
        values = {name: value(found) if callable(value) else value for name, value in changes.items()}
        return passed.with_body(replace(found, **values).to_bytes())

    return change


def other_bytes(found: Receipt) -> bytes:
    """The entry in a receipt, with a signature of another statement's in place of its own."""
    entry = json.loads(found.extra or b"")
    signature = entry["dsse"]["signatures"][0]
    signature["sig"] = base64.b64encode(bytes(64)).decode()
    return json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()


ZEROES = base64.b64encode(bytes(32)).decode()


def proof(change: Callable[[list[str]], list[str]]) -> Change:
    """A consistency proof with other hashes."""
    return lambda passed: passed.with_json(lambda value: value | {"proof": change(value["proof"])})


def cut(passed: Passed) -> Passed:
    return replace(passed, cut=len(passed.body) // 2)


def dropped(passed: Passed) -> Passed:
    return replace(passed, dropped=True)


runs = iter(range(1000))
PLAN = ReleasePlan(**{field: unknown() for field in ReleasePlan.__struct_fields__})


def pulled(client: Client, run: str | None = None, **options: int) -> tuple[list[str], InbondError | None]:
    """What a pull of `chat` gave until it ended, and with what it ended. What it gave is always what was imported."""
    found: list[str] = []
    try:
        for record in client.registry.pull("chat", student="lab/pupil", run=run or f"run-{next(runs)}", **options):
            found.append(record.response)
    except InbondError as error:
        assert found == TRUTH[: len(found)]
        return found, error
    assert found == TRUTH
    return found, None


@pytest.mark.parametrize(
    ("path", "change", "kind", "message"),
    [
        (CONTENT, flip(0.99), VerificationError, "expected leaf hash"),
        (CONTENT, cut, StoreError, "could not reach"),
        (CONTENT, header("ETag", '"sha256-' + "0" * 64 + '"'), VerificationError, "expected status 206 with bytes 0-"),
        (CONTENT, lambda passed: replace(passed, status=200), VerificationError, "found 200 with"),
        (CONTENT, instead(500), StoreError, "found status 500"),
        (CONTENT, dropped, StoreError, "could not reach"),
        (BLOCKS, flip(), VerificationError, "expected block root"),
        (BLOCKS, body(lambda data: data[32:]), VerificationError, "block hashes of 32 bytes"),
        (OBJECT, flip(), VerificationError, "expected bytes of this SHA-256"),
        (OBJECT, body(lambda data: data + b"{}\n"), VerificationError, "expected bytes of this SHA-256"),
        (STATEMENT, receipt(proof=lambda r: (bytes(32), *r.proof[1:])), VerificationError, "inclusion of leaf"),
        (STATEMENT, receipt(proof=()), VerificationError, "inclusion of leaf"),
        (STATEMENT, receipt(index=lambda r: r.index - 1), VerificationError, "inclusion of leaf"),
        (STATEMENT, receipt(extra=other_bytes), VerificationError, "inclusion of leaf"),
        (STATEMENT, receipt(extra=None), VerificationError, "found it without"),
        (STATEMENT, body(lambda data: data.replace(b"\n\nexample", b"\n\nexbmple")), VerificationError, "verif"),
        (CHECKPOINT, body(lambda data: re.sub(rb"\n[0-9]", b"\n9", data, count=1)), VerificationError, "does not verify"),
        (CHECKPOINT, body(lambda data: data.partition(b"\n\n")[0] + b"\n\n"), VerificationError, "note: expected"),
        (CONSISTENCY, proof(lambda found: [ZEROES] * len(found)), VerificationError, "of which neither continues the other"),
        (CONSISTENCY, proof(lambda _: []), VerificationError, "expected a proof of"),
        (CONSISTENCY, instead(404), VerificationError, "expected a proof, found"),
        (RESOLVE, body(lambda data: b'{"ref":"chat"}'), VerificationError, "expected a reference to a"),
        (RESOLVE, body(lambda data: b'{"ref":"grant:' + b"0" * 32 + b'"}'), VerificationError, "expected a reference to a"),
        (RESOLVE, body(lambda data: b'{"ref":["chat"]}'), VerificationError, "is not what was expected"),
        ("/v1/policy/check", body(lambda data: b'{"verdict":"maybe","reasons":[]}'), VerificationError, "is not what"),
        (KEYS, body(lambda data: b'{"items":[{"entries":[26]}],"next":null}'), VerificationError, "entries about keys"),
    ],
)  # fmt: skip
def test_a_lie_is_caught_by_name(connect: Connect, path: str, change: Change, kind: type[InbondError], message: str) -> None:
    client = connect(patience=0.3)
    client.proxy.change("GET", path, change)
    _, error = pulled(client)
    assert error is not None, f"expected {kind.__name__}, found nothing wrong"
    assert type(error) is kind, error
    assert message in error.message


ELSE = "terms:" + "0" * 32


@pytest.mark.parametrize(
    ("method", "path", "changes", "ask", "message"),
    [
        ("GET", "timeline", {"terms": ELSE}, lambda terms: terms.timeline("acme-terms"), "about another thing"),
        ("GET", "timeline", {"tree_size": 2**40}, lambda terms: terms.timeline("acme-terms"), "as of a size from"),
        ("GET", "timeline", {"tree_size": 5}, lambda terms: terms.timeline("acme-terms", size=26), "as of size 26, found 5"),
        ("GET", "diff/.*", {"other": ELSE}, lambda terms: terms.difference("acme-terms", "acme-terms"), "about another thing"),
        ("POST", "release", {"student": ELSE}, lambda terms: terms.release("lab/pupil", PLAN, "2026-11-20"), "about another"),
        ("POST", "release", {"tree_size": 0}, lambda terms: terms.release("lab/pupil", PLAN, "2026-11-20"), "as of a size from"),
    ],
)  # fmt: skip
def test_an_answer_about_terms_is_held_to_what_was_asked(
    client: Client, method: str, path: str, changes: dict[str, Any], ask: Callable[[Any], object], message: str
) -> None:
    ask(client.place.terms)
    client.proxy.change(method, f"/v1/.*/{path}", lambda passed: passed.with_json(lambda value: value | changes))
    with pytest.raises(VerificationError, match=message):
        ask(client.place.terms)


def test_a_bit_that_flips_later_stops_a_pull_where_it_is(client: Client) -> None:
    """The first shard is well, the second is not: what was handed out before is right, nothing comes after."""
    opened = iter(range(100))
    client.proxy.change("GET", CONTENT, lambda passed: flip(0.02)(passed) if next(opened) else passed)
    found, error = pulled(client, segment=4)
    assert isinstance(error, VerificationError)
    assert found == TRUTH[:12]


def test_another_statement_under_a_reference_is_caught(client: Client) -> None:
    wrong = client.registry.resolve("code")
    other = client.proxy.seen("GET", f"/v1/datasets/{wrong.partition(':')[2]}/statement")[0]
    client.proxy.change("GET", "/v1/datasets/[0-9a-f]+/statement", lambda passed: passed.with_body(other.body))
    _, error = pulled(client)
    assert isinstance(error, VerificationError)
    assert f"found that of {wrong}" in error.message


def test_a_name_that_is_resolved_to_another_thing_is_caught(client: Client) -> None:
    code = client.registry.resolve("code")
    client.proxy.change(
        "GET",
        RESOLVE,
        lambda passed: passed.with_body(json.dumps({"ref": code}).encode()) if "name=chat" in passed.path else passed,
    )
    _, error = pulled(client)
    assert isinstance(error, VerificationError)
    assert error.message == f"chat: expected a thing of which a statement says that name, found {code}"


@pytest.mark.parametrize("exception", [False, True])
def test_a_ruling_is_not_signed_on_an_ask_that_a_server_put_in_another_ones_place(client: Client, exception: bool) -> None:
    """Compliance would permit the other student what it was never asked for."""
    registry = client.registry
    asked = registry.ask("lab/other", "acme-terms", "please", exception=exception).ref
    meant, other = (registry.resolve(name, "student") for name in ("lab/pupil", "lab/other"))
    assert asked in [each.ref for each in registry.every(listing.ListedDecision, student=other)]
    [*_, shown] = client.proxy.seen("GET", "/v1/decisions")
    client.proxy.change("GET", "/v1/decisions", instead(200, shown.body.replace(other.encode(), meant.encode())))
    with pytest.raises(VerificationError, match=rf"{asked}: expected an ask \(.*\) about .*, found another statement"):
        settle(registry, "lab/pupil", "acme-terms", "permit", "because", exception=exception)


@pytest.mark.parametrize("text", ["dataset:{chat}", "{chat}", "{digest}", "dataset:chat", "chat@1"])
def test_a_reference_or_digest_is_not_resolved_to_another_thing(client: Client, text: str) -> None:
    chat, code = client.registry.resolve("chat"), client.registry.resolve("code")
    digest = client.place.statement(chat).body.parts.digest
    client.proxy.change("GET", RESOLVE, lambda passed: passed.with_body(json.dumps({"ref": code}).encode()))
    with pytest.raises(VerificationError, match="expected a thing of which a statement says that name"):
        client.place.find(text.format(chat=chat.partition(":")[2], digest=digest))


# -- what was put on record --------------------------------------------------------------------------------------------------


def posted(**changes: object) -> Change:
    return lambda passed: passed.with_json(lambda value: value | changes)


def with_receipt(change: Change) -> Change:
    """Change the receipt inside the answer to a POST."""

    def changed(passed: Passed) -> Passed:
        value = json.loads(passed.body)
        inner = change(passed.with_body(value["receipt"].encode()))
        return passed.with_body(json.dumps(value | {"receipt": inner.body.decode()}).encode())

    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (posted(seq=0), "as its receipt says, found party:"),
        (posted(ref="party:" + "0" * 32), "as its receipt says, found party:000"),
        (posted(receipt="nothing"), "receipt: expected the line"),
        (posted(receipt=7), "is not what was expected"),
        (with_receipt(receipt(extra=None)), "found it without"),
        (with_receipt(receipt(proof=())), "inclusion of leaf"),
        (with_receipt(receipt(extra=other_bytes)), "inclusion of leaf"),
        (instead(201, b"{}"), "is not what was expected"),
        (instead(204, b""), "is not what was expected"),
    ],
)
def test_an_answer_that_does_not_show_the_statement_on_record_is_caught(client: Client, change: Change, message: str) -> None:
    client.proxy.change("POST", "/v1/parties", change)
    with pytest.raises(VerificationError) as caught:
        client.registry.add_party(f"party-{next(runs)}")
    assert message in caught.value.message


def test_the_entry_of_another_statement_is_not_taken_for_ours(client: Client) -> None:
    first = client.registry.add_party(f"party-{next(runs)}")
    [answer] = client.proxy.seen("POST", "/v1/parties")
    client.proxy.change("POST", "/v1/parties", lambda passed: passed.with_body(answer.body))
    with pytest.raises(VerificationError, match=f"as its receipt says, found {first.ref}"):
        client.registry.add_party(f"party-{next(runs)}")


def test_a_grant_of_another_run_is_caught_and_nothing_is_read_under_it(client: Client) -> None:
    assert pulled(client) == (TRUTH, None)
    [answer] = client.proxy.seen("POST", "/v1/grants")
    read = len(client.proxy.seen("GET", CONTENT))
    client.proxy.change("POST", "/v1/grants", lambda passed: passed.with_body(answer.body))
    found, error = pulled(client)
    assert (found, type(error)) == ([], VerificationError)
    assert error is not None
    assert "expected a grant of the request that was sent, found one of another" in error.message
    assert len(client.proxy.seen("GET", CONTENT)) == read


def test_a_segment_that_is_not_on_record_is_not_handed_out(client: Client) -> None:
    run = f"run-{next(runs)}"
    assert pulled(client, run, segment=10) == (TRUTH, None)
    first = client.proxy.seen("POST", "/v1/consumptions")[0]
    client.proxy.change("POST", "/v1/consumptions", lambda passed: passed.with_body(first.body))
    found, error = pulled(client, segment=10)
    assert (found, type(error)) == ([], VerificationError)


def test_threads_write_and_ask_through_one_client(connect: Connect) -> None:
    client = connect(patience=10.0)
    names = [f"party-{next(runs)}" for _ in range(24)]

    def write(name: str) -> int:
        recorded = client.registry.add_party(name)
        assert client.place.head().size > recorded.seq
        assert client.place.find(name, "party") == recorded.ref
        return recorded.seq

    with ThreadPoolExecutor(6) as pool:
        seqs = list(pool.map(write, names))
    assert len(set(seqs)) == len(names)


@pytest.mark.parametrize("lost", [1, 3])
def test_a_lost_answer_doubles_nothing(connect: Connect, lost: int) -> None:
    client = connect(patience=5.0)
    size = client.place.head().size
    name = f"party-{next(runs)}"
    client.proxy.change("POST", "/v1/parties", dropped, times=lost)
    recorded = client.registry.add_party(name)
    assert recorded.seq == size
    assert recorded.duplicate
    assert client.place.head().size == size + 1
    assert len(client.proxy.seen("POST", "/v1/parties")) == lost + 1
    assert client.registry.resolve(name) == recorded.ref


def test_a_whole_pull_over_a_bad_line_is_whole_and_nothing_is_doubled(connect: Connect) -> None:
    client = connect(patience=10.0)
    chance = random.Random(5)
    client.proxy.change("POST", ".*", lambda passed: dropped(passed) if chance.random() < 0.4 else passed)
    client.proxy.change("GET", ".*", lambda passed: chance.choice([dropped, cut])(passed) if chance.random() < 0.3 else passed)
    client.proxy.change("GET", ".*", lambda passed: instead(502)(passed) if chance.random() < 0.1 else passed)
    run = f"run-{next(runs)}"
    size = client.place.head().size
    assert pulled(client, run, segment=10) == (TRUTH, None)
    client.proxy.honest()
    assert client.place.head().size == size + 1 + 1 + 3, "a run, a grant, three segments"


def test_an_answer_that_never_comes_is_said_to_be_unknown_and_the_same_again_settles_it(connect: Connect) -> None:
    client = connect(patience=0.2)
    size = client.place.head().size
    client.proxy.change("POST", "/v1/parties", dropped)
    with pytest.raises(Inconclusive, match="it is not known whether what was sent is on record"):
        client.registry.add_party(f"party-{next(runs)}")
    client.proxy.honest()
    sent = msgspec.json.decode(client.proxy.seen("POST", "/v1/parties")[-1].sent, type=Envelope)
    [recorded] = client.place.append([sent])
    assert not isinstance(recorded, InbondError)
    assert (recorded.seq, recorded.duplicate) == (size, True)
    assert client.place.head().size == size + 1


# -- another history -------------------------------------------------------------------------------------------------------------


def test_an_older_head_is_a_rollback_and_both_heads_are_kept(client: Client) -> None:
    old = client.proxy.seen("GET", CHECKPOINT) or [asked(client, client.place.head)]
    client.registry.add_party(f"party-{next(runs)}")
    client.proxy.change("GET", CHECKPOINT, lambda passed: passed.with_body(old[-1].body))
    client.proxy.change("GET", "/v1/ledger/consistency", lambda passed: passed.with_body(b'{"old":1,"new":2,"proof":[]}'))
    with pytest.raises(VerificationError, match="it was rolled back; both signed heads are kept in") as caught:
        client.registry.add_party(f"party-{next(runs)}")
    kept = Path(caught.value.members["evidence"]).read_bytes()
    assert old[-1].body in kept
    assert kept.count(client.place.origin.encode() + b"\n") == 2


def asked(client: Client, ask: Callable[[], object]) -> Passed:
    ask()
    return client.proxy.passed[-1]


def test_answers_about_an_older_state_are_caught(client: Client) -> None:
    client.registry.lineage("lab/pupil")
    [old] = client.proxy.seen("GET", "/v1/students/[0-9a-f]+/lineage")
    client.registry.add_party(f"party-{next(runs)}")
    client.proxy.change("GET", "/v1/students/[0-9a-f]+/lineage", lambda passed: passed.with_body(old.body))
    with pytest.raises(VerificationError, match="expected one as of a size from"):
        client.registry.lineage("lab/pupil")
    size = client.place.head().size - 3
    with pytest.raises(VerificationError, match=f"expected one as of size {size}, found"):
        client.registry.lineage("lab/pupil", as_of=size)
    client.proxy.honest()
    client.proxy.change(
        "GET", "/v1/students/[0-9a-f]+/lineage", lambda passed: passed.with_json(lambda v: v | {"tree_size": 10**6})
    )
    with pytest.raises(VerificationError, match=r"expected one as of a size from .* found 1000000"):
        client.registry.lineage("lab/pupil")


@pytest.fixture
def forked(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Another server with the same keys, whose log has gone on with other entries."""
    server.stop()
    shutil.copytree(server.folder, tmp_path / "fork" / "registry")
    shutil.copytree(server.state, tmp_path / "fork" / "state")
    server.start()
    with monkeypatch.context() as patch:
        patch.setenv("INBOND_STATE", str(tmp_path / "fork" / "state"))
        with Registry.open(tmp_path / "fork" / "registry") as registry:
            for i in range(5):
                registry.add_party(f"forked-{i}")
        with serving_folder(tmp_path / "fork" / "registry", tmp_path / "fork" / "state") as other:
            yield other


def test_a_forked_log_is_caught_whoever_shows_it(forked: Server, server: Server, machine: Path, token: str) -> None:
    """The fork serves everything consistently, signed by the same keys: what this machine saw before gives it away."""
    policy = (machine / "policy.txt").read_text()
    given = {"token": token, "policy": policy, "keys": str(machine / "keys")}
    with between(server.url) as honest, Registry.open(honest.url, **given) as registry:
        registry.add_party(f"party-{next(runs)}")
    with between(forked.url) as liar, pytest.raises(VerificationError, match="of which neither continues the other") as caught:
        Registry.open(liar.url, **given)
    assert Path(caught.value.members["evidence"]).is_file()
    with between(server.url) as honest, Registry.open(honest.url, **given) as registry:
        honest.upstream = liar.upstream  # in the middle of everything
        with pytest.raises(VerificationError, match="of which neither continues the other"):
            registry.add_party(f"party-{next(runs)}")


def test_another_registry_in_its_place_is_caught(connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    with pytest.raises(
        VerificationError, match=f"expected the registry of genesis {'0' * 64}, found {client.place.genesis.hex()}"
    ):
        connect(genesis="0" * 64)
    assert connect(genesis=client.place.genesis.hex()).place.head().size > 1
    with monkeypatch.context() as patch:
        patch.setenv("INBOND_STATE", str(tmp_path / "elsewhere" / "state"))
        with Registry.init(tmp_path / "elsewhere" / "registry", client.place.origin) as other:
            policy = other.policy_text
    with pytest.raises(VerificationError, match="expected a signature by"):
        connect(policy=policy)


# -- keys ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v | {"items": []}, "expected signatures by keys of this log"),
        (lambda v: v | {"items": [{"entries": [0]}]}, "expected signatures by keys of this log"),
        (lambda v: v | {"items": [item | {"public_key": "", "entries": []} for item in v["items"]]}, "by keys of this log"),
        (lambda v: v | {"items": [{"entries": [5000]}]}, "is not in a log of size"),
        (lambda v: {"items": 1}, "is not what was expected"),
    ],
)  # fmt: skip
def test_a_list_of_keys_that_was_changed_gives_no_key(connect: Connect, change: Callable[[object], object], message: str) -> None:
    client = connect()
    client.proxy.change("GET", KEYS, lambda passed: passed.with_json(change))
    _, error = pulled(client)
    assert isinstance(error, VerificationError | NotFound)
    assert message in error.message


# -- bytes that may not be read any more -------------------------------------------------------------------------------


def test_a_right_that_ends_while_it_is_used_is_a_refusal(client: Client) -> None:
    said = json.dumps({"type": PolicyDenied.type, "title": "", "status": 403, "detail": "recalled by entry 9"}).encode()
    opened = iter(range(100))
    client.proxy.change("GET", CONTENT, lambda passed: instead(403, said)(passed) if next(opened) else passed)
    found, error = pulled(client, segment=4)
    assert (found, type(error)) == (TRUTH[:12], PolicyDenied)


def test_a_recall_stops_a_running_pull_at_its_next_segment_and_reads_at_once(connect: Connect) -> None:
    client = connect(patience=5.0)
    registry, place = client.registry, client.place
    file = messages(client.machine / "doomed.jsonl", "doomed", 30)
    shards = registry.import_files("messages", [file], teacher="acme/base@1", dataset="doomed", max_rows=12).shards
    pull = registry.pull("doomed", student="lab/pupil", run=f"run-{next(runs)}", segment=10)
    found = [record.response for record in next(pull.segments())]
    assert found == [f"doomed answer {i}" for i in range(10)]
    made = place.statement(shards[2]).body
    raw, _ = place.shard_file(shards[2], made, pull.grant)
    with raw:
        assert registry.recall("doomed", reason="it is not ours", category="terms").impact.affected
        with pytest.raises(PolicyDenied):
            raw.read(10)
    with pytest.raises(PolicyDenied):
        next(iter(registry.pull("doomed", student="lab/pupil", run=f"run-{next(runs)}")))
    with pytest.raises(PolicyDenied):
        next(pull.segments())


# -- whatever else -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_line_that_alters_anything_anywhere_never_alters_what_is_read(connect: Connect, seed: int) -> None:
    """One byte in a thousandth to a third of all answers: either it is noticed, or it changed nothing that was read."""
    chance = random.Random(seed)
    rate = chance.choice([0.03, 0.1, 0.3])

    def altered(passed: Passed) -> Passed:
        if chance.random() > rate or not passed.body:
            return passed
        data = bytearray(passed.body)
        for _ in range(chance.choice([1, 1, 5])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        return passed.with_body(bytes(data))

    client = connect(patience=0.2)
    client.proxy.change("GET", ".*", altered)
    client.proxy.change("POST", ".*", altered)
    _, error = pulled(client, segment=10)
    assert error is None or isinstance(error, InbondError)
    if error is not None:
        assert "Traceback" not in error.message


def spoiled(value: Any, chance: random.Random) -> Any:
    """JSON with one of its values, at any depth, replaced by one that does not belong there."""
    places = list(_places(value))
    holder, key = chance.choice(places) if places else ([value], 0)
    holder[key] = chance.choice([None, -1, 2**70, 1.5, "x", "\x1b[2J", [], {}, True, [[[]]], "shard:" + "0" * 32])
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(item)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_json_comes_back_is_an_answer_or_an_error_that_says_so(connect: Connect, seed: int) -> None:
    chance = random.Random(seed)
    client = connect(patience=0.2)
    place, registry = client.place, client.registry
    pupil, chat, acme, run = (
        registry.resolve("lab/pupil"),
        registry.resolve("chat"),
        registry.resolve("acme"),
        f"run-{next(runs)}",
    )
    assert pulled(client, run) == (TRUTH, None)
    opened = registry.resolve(run, "run")
    [part, *_] = place.lines(place.statement(chat).body.parts, chat)
    identity = place.statement(part["shard"]).body.import_identity
    questions: list[Callable[[], object]] = [
        lambda: place.find("chat"),
        lambda: place.things([pupil, chat]),
        lambda: place.page(listing.ListedRun),
        lambda: place.page(listing.ListedKey),
        lambda: place.lineage(pupil),
        lambda: place.shares(pupil),
        lambda: place.learners(acme),
        lambda: place.impact(chat),
        lambda: place.trace(f"{part['shard']}:1"),
        lambda: place.check(pupil, [chat]),
        lambda: place.terms.timeline("acme-terms"),
        lambda: place.terms.weigh(pupil),
        lambda: place.terms.evaluation(pupil),
        lambda: place.terms.unread(0),
        lambda: place.run(opened),
        lambda: place.inputs(opened),
        lambda: place.imported(identity),
        lambda: place.doubled(chat, registry.resolve("acme/base@1"), [identity]),
        lambda: open_ask(registry, Question.AUTHORISATION, {pupil, registry.resolve("acme-terms")}),
        lambda: place.key("0" * 64),
        lambda: registry.add_party(f"party-{next(runs)}"),
    ]

    def spoil(passed: Passed) -> Passed:
        if not passed.header("Content-Type").startswith("application/json"):
            return passed
        return passed.with_body(json.dumps(spoiled(json.loads(passed.body), chance)).encode())

    client.proxy.change("GET", "/v1/.*", spoil)
    client.proxy.change("POST", "/v1/parties", spoil)
    for question in questions * 2:
        with suppress(InbondError):
            assert "\x1b" not in repr(question())
