"""Tokens: shown once, kept as a hash, listed without secrets, revoked within seconds."""

import hashlib
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inbond.api.settings import Settings
from inbond.api.tokens import TokenStore
from inbond.schemas.errors import InvalidInput, NotFound
from tests.api.cli.shell import ok, run
from tests.api.http.serving import Server, copied, problem, served
from tests.registry.world import World

PARTY = f"party:{'0' * 32}"


def test_a_token_has_its_form_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    text, made = store.add(PARTY, ["trainer", "auditor", "trainer"], days=2, name="a job")
    assert re.fullmatch("inb_[0-9a-f]{8}_[0-9A-Za-z]{43}", text)
    assert text[4:12] == made.id
    assert made.roles == ("trainer", "auditor")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    kept = store.path.read_bytes()
    assert text.encode() not in kept
    assert text[13:].encode() not in kept
    assert hashlib.sha256(text.encode()).digest() in kept
    assert TokenStore(tmp_path).list() == [made]


def test_secrets_are_of_all_characters(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    seen = "".join(store.add(PARTY, ["trainer"])[0][13:] for _ in range(40))
    assert len(set(seen)) == 62


@pytest.mark.parametrize("roles", [[], ["registry"], ["log"], ["trainer", "king"]])
def test_roles_that_no_token_has(tmp_path: Path, roles: list[str]) -> None:
    with pytest.raises(InvalidInput, match="expected one or more roles among"):
        TokenStore(tmp_path).add(PARTY, roles)


@pytest.mark.parametrize(("days", "name"), [(0, None), (-1, None), (None, "two\nlines"), (None, "\x1b[31m")])
def test_other_things_that_no_token_has(tmp_path: Path, days: int | None, name: str | None) -> None:
    with pytest.raises(InvalidInput):
        TokenStore(tmp_path).add(PARTY, ["trainer"], days=days, name=name)


def test_a_token_is_revoked_for_ever(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    _, made = store.add(PARTY, ["trainer"])
    first = store.revoke(made.id)
    assert first.revoked is not None
    assert store.revoke(made.id) == first
    with pytest.raises(NotFound):
        store.revoke("00000000")


def test_without_a_token_there_is_no_file(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    assert store.list() == []
    assert store.find("00000000") is None
    assert not store.path.exists()


@pytest.fixture(scope="module")
def believing(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that believes what it knows of a token for half a second."""
    folder = tmp_path_factory.mktemp("believing") / "world"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(copied(lived_in, folder))
        with served(world, Settings(token_wait=0.5)) as found:
            yield found
        world.registry.close()


def test_a_revocation_works_within_the_time_that_a_token_is_believed(believing: Server) -> None:
    store = TokenStore(believing.world.folder)
    text, made = store.add(believing.world.registry.operator, ["trainer"])
    headers = {"Authorization": f"Bearer {text}"}
    assert believing.get("/v1/students", headers=headers).status_code == 200
    store.revoke(made.id)
    began = time.monotonic()
    while believing.get("/v1/students", headers=headers).status_code == 200:
        assert time.monotonic() - began < 2
        time.sleep(0.02)
    problem(believing.get("/v1/students", headers=headers), 401, "unauthenticated")


def test_a_new_token_works_at_once(believing: Server) -> None:
    text, _ = TokenStore(believing.world.folder).add(believing.world.registry.operator, ["trainer"])
    assert believing.get("/v1/students", headers={"Authorization": f"Bearer {text}"}).status_code == 200


def test_a_file_of_tokens_that_is_damaged_is_the_servers_fault_and_lets_nobody_in(believing: Server) -> None:
    store = TokenStore(believing.world.folder)
    text, _ = store.add(believing.world.registry.operator, ["trainer"])
    whole = store.path.read_bytes()
    store.path.write_bytes(b"no database at all" * 100)
    try:
        answer = believing.get("/v1/students", headers={"Authorization": f"Bearer {text}"})
    finally:
        store.path.write_bytes(whole)
    found = problem(answer, 503, "store-failed")
    assert "access.db" not in str(found)
    assert any(b"access.db is damaged" in line and b'"level":"error"' in line for line in believing.lines)
    assert believing.get("/v1/students", headers={"Authorization": f"Bearer {text}"}).status_code == 200


# -- on the command line ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "world" / "state"))
    monkeypatch.delenv("INBOND_REGISTRY", raising=False)
    found = copied(lived_in, tmp_path / "world")
    monkeypatch.chdir(found)
    return found


def test_tokens_on_the_command_line(folder: Path) -> None:
    first = ok("token", "add", "--role", "trainer", "--role", "producer", "--days", "30", "--name", "nightly")
    text = first.out.splitlines()[0]
    assert re.fullmatch("inb_[0-9a-f]{8}_[0-9A-Za-z]{43}", text)
    assert "the only time" in first.err
    second = ok("token", "add", "--role", "provider", "--party", "vendor", "--json").json
    assert second["schema"] == "urn:inbond:cli:token-add:v1"
    assert second["roles"] == ["provider"]
    assert second["expires"] is None
    listed = ok("token", "list").out
    assert text not in listed
    assert second["token"] not in listed
    assert "nightly" in listed
    assert "vendor" in listed
    assert "until 20" in listed
    assert "secret" not in str(ok("token", "list", "--json").json)
    gone = ok("token", "revoke", second["id"]).out
    assert gone.startswith(f"token {second['id']} revoked at ")
    assert "revoked 20" in ok("token", "list").out


def test_mistakes_on_the_command_line(folder: Path) -> None:
    assert run("token", "add").code == 2
    assert run("token", "add", "--role", "registry").code == 2
    assert run("token", "add", "--role", "trainer", "--party", "nobody").code == 7
    assert run("token", "revoke", "00000000").code == 7
    assert ok("token", "list").out.strip() == "no tokens"


@pytest.mark.parametrize("words", [("serve",), ("token", "list"), ("token", "add", "--role", "trainer")])
def test_these_need_the_registrys_folder(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INBOND_REGISTRY", str(tmp_path / "none"))
    assert run(*words).code == 7
