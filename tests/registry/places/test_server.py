"""A registry on a server answers what it answers in its folder, proved where that is possible."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inbond.ledger import merkle
from inbond.ledger.policy import TrustPolicy
from inbond.registry import listing
from inbond.registry.places.folder import FolderPlace
from inbond.registry.places.paths import LISTS
from inbond.registry.places.server import ServerPlace, connect
from inbond.registry.registry import Registry
from inbond.schemas.errors import (
    InbondError,
    InvalidInput,
    NotFound,
    NotPermitted,
    Unauthenticated,
    VerificationError,
)
from inbond.schemas.statements import Dataset, Genesis, Shard
from tests.registry.places.served import Server, client_machine, serving_folder

ROLES = ("producer", "trainer", "compliance", "auditor")


@pytest.fixture(scope="module")
def lived_server(lived_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a world in which everything has happened that can; nobody writes to it."""
    folder = tmp_path_factory.mktemp("lived-served") / "world"
    shutil.copytree(lived_template, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        with serving_folder(folder / "registry", folder / "state") as server:
            yield server


@pytest.fixture(scope="module")
def here(lived_server: Server) -> Iterator[FolderPlace]:
    """The same registry, asked in its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(lived_server.state))
        registry = Registry.open(lived_server.folder)
    yield registry.local
    registry.close()


@pytest.fixture(scope="module")
def tokens(lived_server: Server) -> dict[str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(lived_server.state))
        return {"all": lived_server.token(*ROLES), "provider": lived_server.token("provider", party="acme")}


@pytest.fixture
def bare_machine(lived_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("INBOND_TOKEN", "INBOND_TOKEN_FILE", "INBOND_POLICY", "INBOND_GENESIS", "INBOND_KEYS", "INBOND_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    return client_machine(tmp_path / "machine", lived_server)


@pytest.fixture
def there(lived_server: Server, tokens: dict[str, str], bare_machine: Path) -> Iterator[ServerPlace]:
    with connect(lived_server.url, tokens["all"], policy=bare_machine / "policy.txt") as place:
        yield place


# -- the same answers ----------------------------------------------------------------------------------------------------------


def test_what_a_registry_is_comes_from_its_genesis(here: FolderPlace, there: ServerPlace) -> None:
    assert (there.origin, there.genesis, there.operator) == (here.origin, here.genesis, here.operator)
    assert TrustPolicy.parse(there.policy_text) == TrustPolicy.parse(here.policy_text)
    assert there.head() == here.head()
    assert isinstance(there.statement(there.operator).body, Genesis)


def test_every_statement_is_the_same_and_every_receipt_verifies(here: FolderPlace, there: ServerPlace) -> None:
    kinds = set()
    for what in LISTS:
        if what is not listing.ListedKey:
            for ref in refs_of(here, what):
                assert there.statement(ref) == here.statement(ref)
                kinds.add(ref.partition(":")[0])
    assert {"party", "teacher", "shard", "dataset", "student", "run", "grant", "consume", "delivery", "release"} <= kinds
    with here.reading() as reader:
        sizes = [size for size, _ in reader.checkpoints()]
    for seq, size in [(0, None), (sizes[-1] - 1, None), (3, sizes[-1]), (3, sizes[-3]), (sizes[-3] - 1, sizes[-3])]:
        assert there.receipt(seq, size) == here.receipt(seq, size)
    with pytest.raises(NotFound):
        there.receipt(sizes[-1])


def refs_of(place: FolderPlace, what: type) -> list[str]:
    return [item.ref for item in every(place.page, what)]


def every(page: Callable[..., object], what: type, limit: int = 1000, **wanted: str) -> list[object]:
    found: list[object] = []
    after: int | None = -1
    while after is not None:
        got = page(what, after, limit, **wanted)
        found += got.items  # type: ignore[attr-defined]
        after = got.next  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("what", LISTS, ids=lambda what: what.__name__)
def test_lists_are_the_same_in_pages_of_any_size(here: FolderPlace, there: ServerPlace, what: type) -> None:
    everything = every(here.page, what)
    assert every(there.page, what) == everything
    assert every(there.page, what, 2) == everything
    for item in everything[:4]:  # where no page of this client's ended
        entry = item.entry  # type: ignore[attr-defined]
        assert there.page(what, entry, 2) == here.page(what, entry, 2)


def test_lists_are_filtered_there(here: FolderPlace, there: ServerPlace) -> None:
    student = here.find("lab/pupil", "student")
    assert every(there.page, listing.ListedRun, 1, student=student) == every(here.page, listing.ListedRun, student=student)
    with pytest.raises(InvalidInput):
        there.page(listing.ListedRun, colour="blue")


def test_things_keys_and_names_are_the_same(here: FolderPlace, there: ServerPlace) -> None:
    refs = [ref for what in LISTS if what is not listing.ListedKey for ref in refs_of(here, what)]
    assert there.things(refs) == here.things(refs)
    assert there.things(["party:" + "0" * 32]) == {}
    for key in every(here.page, listing.ListedKey):
        fingerprint = key.fingerprint  # type: ignore[attr-defined]
        assert there.key(fingerprint) == here.key(fingerprint)
    assert there.key("0" * 64) is None
    by_kind = {thing.kind: thing for thing in here.things(refs).values() if thing.name}
    for thing in by_kind.values():
        for text in filter(None, (thing.ref, thing.name, f"{thing.kind}:{thing.name}", thing.ref.partition(":")[2][:10])):
            try:
                expected = here.find(text, thing.kind)
            except InbondError as error:
                with pytest.raises(type(error)):
                    there.find(text, thing.kind)
            else:
                assert there.find(text, thing.kind) == expected
    assert there.find("lab/pupil", "student", size=here.head().size) == here.find("lab/pupil", "student")
    with pytest.raises(NotFound, match="did you mean"):
        there.find("lab/pupli", "student")
    with pytest.raises(NotFound):
        there.statement("student:" + "0" * 32)


def test_questions_have_the_same_answers(here: FolderPlace, there: ServerPlace) -> None:
    pupil, chat, acme = here.find("lab/pupil", "student"), here.find("chat"), here.find("acme")
    size = here.head().size - 4
    for place_size in (None, size):
        up, down = here.lineage(pupil, size=place_size), there.lineage(pupil, size=place_size)
        assert (up.hops, up.names, up.tree_size) == (down.hops, down.names, down.tree_size)
        assert there.shares(pupil, place_size) == here.shares(pupil, place_size)
        assert there.learners(acme, size=place_size) == here.learners(acme, size=place_size)
        assert there.impact(chat, place_size) == here.impact(chat, place_size)
    assert there.lineage("chat", "down", 1).hops == here.lineage("chat", "down", 1).hops
    shard = refs_of(here, listing.ListedShard)[0]
    assert there.trace(f"{shard}:3") == here.trace(f"{shard}:3")
    assert there.check(pupil, [chat]) == here.check(pupil, [chat])
    for run in refs_of(here, listing.ListedRun):
        assert there.run(run) == here.run(run)
        assert there.inputs(run) == here.inputs(run)
    with pytest.raises(InvalidInput):
        there.trace("../../etc/passwd")
    with pytest.raises(InbondError):
        there.lineage(refs_of(here, listing.ListedGrant)[0])


def test_what_imports_ask_is_the_same(here: FolderPlace, there: ServerPlace) -> None:
    for shard in every(here.page, listing.ListedShard):
        identity = shard.import_identity  # type: ignore[attr-defined]
        assert there.imported(identity) == here.imported(identity)
    assert there.imported("sha256:" + "0" * 64) == {}
    chat, teacher = here.find("chat"), here.find("acme/base@1")
    [line, *_] = here.lines(
        here.statement(refs_of(here, listing.ListedShard)[0]).body.inputs, refs_of(here, listing.ListedShard)[0]
    )
    inputs = [line["digest"], *(f"sha256:{n:064x}" for n in range(150))]
    assert there.doubled(chat, teacher, inputs) == here.doubled(chat, teacher, inputs) != []


def test_objects_are_hashed_and_shards_are_verified(here: FolderPlace, there: ServerPlace) -> None:
    chat = here.find("chat")
    body = there.statement(chat).body
    assert isinstance(body, Dataset)
    assert there.lines(body.parts, chat) == here.lines(body.parts, chat)
    with pytest.raises(NotFound):
        there.object("0" * 64, chat)
    shard = there.lines(body.parts, chat)[0]["shard"]
    made = there.statement(shard).body
    assert isinstance(made, Shard)
    with pytest.raises(InvalidInput, match="expected a grant or a delivery") as caught:
        there.shard_file(shard, made, None)
    assert "inbond pull" in str(caught.value.hint)
    export = next(item for item in every(here.page, listing.ListedDelivery) if item.object == here.find("code"))  # type: ignore[attr-defined]
    code = here.lines(here.statement(here.find("code")).body.parts, here.find("code"))[0]["shard"]
    file, joined = there.shard_file(code, there.statement(code).body, export.ref)  # type: ignore[attr-defined]
    with file:
        data = file.read()
    local, local_joined = here.shard_file(code, here.statement(code).body, None)
    with local:
        assert data == local.read()
    assert joined == local_joined


# -- who asks ------------------------------------------------------------------------------------------------------------------


def test_without_a_token_public_things_are_proved_and_others_are_not_told(
    here: FolderPlace, lived_server: Server, bare_machine: Path
) -> None:
    with connect(lived_server.url, policy=bare_machine / "policy.txt") as place:
        assert place.head() == here.head()
        hidden = here.things([here.find("chat")])[here.find("chat")].entry
        receipt = place.receipt(hidden)
        assert receipt.extra is None, "its leaf hash came from the log's tile"
        assert receipt.proof == here.receipt(hidden).proof
        with pytest.raises(Unauthenticated) as caught:
            place.find("chat")
        assert "INBOND_TOKEN" in str(caught.value.hint)
        with pytest.raises(Unauthenticated):
            place.statement(here.find("chat"))


def test_a_provider_sees_its_own(here: FolderPlace, lived_server: Server, bare_machine: Path, tokens: dict[str, str]) -> None:
    with connect(lived_server.url, tokens["provider"], policy=bare_machine / "policy.txt") as place:
        assert place.learners(here.find("acme")).students == here.learners(here.find("acme")).students
        assert place.statement(here.find("acme/base@1")) == here.statement(here.find("acme/base@1"))
        with pytest.raises(NotPermitted):
            place.learners(here.find("beta"))
        with pytest.raises(NotPermitted):
            place.statement(here.find("lab/pupil", "student"))


def test_a_token_that_is_none_is_refused_and_not_repeated(lived_server: Server, bare_machine: Path) -> None:
    wrong = "inb_00000000_" + "a" * 43
    with pytest.raises(Unauthenticated) as caught:
        connect(lived_server.url, wrong, policy=bare_machine / "policy.txt")
    assert wrong not in f"{caught.value.message} {caught.value.hint}"


# -- what people set -----------------------------------------------------------------------------------------------------------


def test_everything_may_come_from_the_environment(
    here: FolderPlace, lived_server: Server, bare_machine: Path, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOND_POLICY", str(bare_machine / "policy.txt"))
    monkeypatch.setenv("INBOND_GENESIS", here.genesis.hex())
    monkeypatch.setenv("INBOND_KEYS", str(bare_machine / "keys"))
    (bare_machine / "token").write_text(tokens["all"] + "\n")
    monkeypatch.setenv("INBOND_TOKEN_FILE", str(bare_machine / "token"))
    with connect(lived_server.url) as place:
        assert place.find("chat") == here.find("chat")
        assert place.keys.folder == bare_machine / "keys"
    monkeypatch.setenv("INBOND_TOKEN", tokens["provider"])
    with connect(lived_server.url) as place, pytest.raises(NotFound):
        place.find("chat")
    monkeypatch.delenv("INBOND_TOKEN")
    monkeypatch.setenv("INBOND_TOKEN_FILE", str(bare_machine / "none"))
    with pytest.raises(InvalidInput, match="INBOND_TOKEN_FILE: expected a file with a token"):
        connect(lived_server.url)
    monkeypatch.setenv("INBOND_GENESIS", "12")
    with pytest.raises(InvalidInput, match="expected a digest"):
        connect(lived_server.url, tokens["all"])


def test_without_a_policy_nothing_is_asked(lived_server: Server, bare_machine: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected INBOND_POLICY to name a tlog-policy file") as caught:
        connect(lived_server.url)
    assert "on another way than from the server itself" in str(caught.value.hint)
    with pytest.raises(InvalidInput, match="nowhere: expected a trust policy"):
        connect(lived_server.url, policy=tmp_path / "nowhere")
    (tmp_path / "policy").write_text("log what\nquorum none\n")
    with pytest.raises(InvalidInput, match="policy line 1"):
        connect(lived_server.url, policy=tmp_path / "policy")
    assert not (tmp_path / "state").exists()


def test_a_machine_that_has_seen_another_log_of_that_name_and_key_asks_before_it_believes(
    here: FolderPlace, lived_server: Server, bare_machine: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "state" / ("ab" * 32)
    seen.mkdir(parents=True)
    with here.reading() as reader:
        (seen / "seen").write_bytes(reader.note)
    with pytest.raises(VerificationError, match=f"of genesis {'ab' * 32}, as seen before, found one of genesis") as caught:
        connect(lived_server.url, policy=bare_machine / "policy.txt")
    assert f"INBOND_GENESIS={here.genesis.hex()}" in str(caught.value.hint)
    with connect(lived_server.url, policy=bare_machine / "policy.txt", genesis=here.genesis) as place:
        assert place.head() == here.head()


def test_the_leaf_of_entry_0_names_the_folder_of_what_was_seen(here: FolderPlace, there: ServerPlace, tmp_path: Path) -> None:
    assert there.genesis == merkle.leaf_hash(here.receipt(0).extra or b"")
    assert (tmp_path / "state" / there.genesis.hex() / "seen").is_file()
