"""`inbond log audit`: of the registry that one stands in, of a folder, and at an address."""

import shutil
from pathlib import Path

import pytest

from tests.api.cli.shell import ok, run
from tests.ledger.published import plainly, served


@pytest.fixture
def published(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log as files, with nothing of the registry near but what the user has seen of it."""
    ok("log", "export", "../published")
    monkeypatch.chdir(warehouse.parent)
    shutil.rmtree("state")
    return Path("published")


@pytest.fixture
def genesis(warehouse: Path) -> str:
    return str(ok("--registry", warehouse, "log", "head", "--json").json["genesis"])


def test_a_folder_alone_is_clean(published: Path, genesis: str) -> None:
    done = run("log", "audit", published, "--genesis", genesis)
    assert (done.code, done.out.splitlines()[-1]) == (0, "clean")
    assert "left out: the registry's own rules" in done.out
    unpinned = run("log", "audit", published, "--json")
    assert (unpinned.code, unpinned.json["verdict"], unpinned.json["genesis"]) == (6, "inconclusive", genesis)
    assert genesis in unpinned.json["unchecked"][0]


def test_a_pin_from_the_environment(published: Path, genesis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOND_GENESIS", genesis)
    assert run("log", "audit", published).code == 0
    monkeypatch.setenv("INBOND_GENESIS", "00" * 32)
    assert run("log", "audit", published).code == 3
    assert "--genesis: expected 64 hex digits" in run("log", "audit", published, "--genesis", "12").err


def test_a_flipped_bit_is_3_and_named(published: Path, genesis: str) -> None:
    path = next((published / "tile/entries").rglob("*.p/*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    done = run("log", "audit", published, "--genesis", genesis)
    assert done.code == 3
    assert f"differs: {path}: entry" in done.out


def test_an_address(published: Path, genesis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(published, plainly, "/ledger") as url:
        done = run("log", "audit", url, "--genesis", genesis, "--json")
        assert (done.code, done.json["source"]) == (0, f"{url}/ledger")
        assert run("log", "audit", f"{url}/ledger/", "--genesis", genesis).code == 0
        monkeypatch.setenv("INBOND_REGISTRY", url)
        assert run("log", "audit", "--genesis", genesis).code == 0
        shutil.rmtree(published / "tile/entries")
        public = run("log", "audit", "--genesis", genesis, "--from-start")
        assert (public.code, public.out.splitlines()[-1]) == (6, "inconclusive")
    assert run("log", "audit", "http://example.org/log").code == 2
    assert run("log", "audit", "nowhere").code == 2


def test_a_policy_says_whose_signatures_to_expect(published: Path, warehouse: Path, genesis: str) -> None:
    shutil.rmtree(published / "tile/entries")
    done = run("log", "audit", published, "--genesis", genesis, "--policy", warehouse / "policy.txt", "--json")
    assert (done.code, len(done.json["unchecked"])) == (6, 2)  # the entries; the ML-DSA key, which is not in the policy
    (warehouse / "policy.txt").write_text("quorum none\n")
    other = run("log", "audit", published, "--genesis", genesis, "--policy", warehouse / "policy.txt", "--json")
    assert other.code == 3


@pytest.mark.usefixtures("warehouse")
def test_a_registry_is_audited_from_where_it_was() -> None:
    first = ok("log", "audit", "--json").json
    ok("party", "add", "newcomer")
    second = ok("log", "audit", "--json").json
    assert (first["verdict"], second["verdict"], second["size"]) == ("clean", "clean", first["size"] + 1)
    alone = ok("log", "audit", "--log-only", "--from-start", "--json").json
    assert (alone["verdict"], alone["signatures"]) == ("clean", second["signatures"])
    assert alone["tables"] < second["tables"]
    unsigned = run("log", "audit", "--no-signatures")
    assert unsigned.code == 6
    assert "the signatures of statements: they were left out" in unsigned.out
