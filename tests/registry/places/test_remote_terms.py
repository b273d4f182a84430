"""Commands about terms say on a server, over a socket, what they say in its folder; and a server's verdicts go on record."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from inbond.api.cli.main import cli
from inbond.registry.listing import ListedFact, ListedRelease
from inbond.schemas.declared import Reason, unknown
from inbond.schemas.statements import Verdict, Visibility
from tests.api.cli.shell import Done
from tests.api.http.serving import served
from tests.registry.terms.facts import condition, reading
from tests.registry.terms.test_gathering import PLAN, House
from tests.registry.world import World

LLAMA, DEEPSEEK = "Llama 3.1 Community License", "DeepSeek Open Platform Terms of Service"
ACTUAL = '[actual]\nname = "mini"\ndistributed = true\nhosted = false\ncommercial = true\nlicence = "mit"\nmau = 9\n'


@dataclass
class Both:
    """A registry in its folder, and through a server; commands leave files in `folder`; `vendor` is another party's token."""

    world: World
    here: dict[str, str]
    there: dict[str, str]
    folder: Path
    vendor: str

    def run(self, where: dict[str, str], *line: object, code: int = 0) -> Done:
        unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("INBOND_")}
        result = CliRunner(env=unset | where).invoke(cli, [str(word) for word in line])
        assert result.exit_code == code, (line, result.output)
        return Done(result.exit_code, result.stdout, result.stderr)

    def same(self, *line: object, code: int = 0) -> Any:
        """The JSON that a command answers with, which must be that of the folder and of the server."""
        here, there = (self.run(where, *line, "--json", code=code) for where in (self.here, self.there))
        assert json.loads(there.out) == json.loads(here.out), line
        return json.loads(here.out)


@pytest.fixture(scope="module")
def both(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A student that learned from Llama and DeepSeek, whose terms have a new version since, and a reading that was corrected."""
    folder = tmp_path_factory.mktemp("terms") / "world"
    shutil.copytree(template, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(folder / "registry")
        house, registry = House(world), world.registry
        house.teach("meta/llama-3.1-8b@1", "llama", "llama-3.1", path="weights")
        house.teach("deepseek/chat@1", "chats", "deepseek-open-platform-2026-04-29")
        for title in (LLAMA, DEEPSEEK):
            registry.rule(registry.ask("lab/commercial", title, "grounds").ref, "permit", "grounds")
        list(registry.pull("llama", "chats", student="lab/commercial", run="first"))
        registry.release("lab/commercial", b"first", facts={"actual": PLAN})
        registry.add_terms(b"No more.\x1b[2J\n", party="deepseek", title=DEEPSEEK, effective="2030-01-01", models=("*",))
        [old] = [each.ref for each in registry.every(ListedFact, terms=f"{DEEPSEEK}@2026-04-29")]
        registry.declare(old, {"permits_training": "no"}, correct=True)
        with served(world) as server:
            here = {"INBOND_STATE": str(folder / "state"), "INBOND_REGISTRY": str(world.folder)}
            there = {
                "INBOND_STATE": str(folder / "client"),
                "INBOND_REGISTRY": server.url,
                "INBOND_TOKEN": server.tokens["trainer"],
                "INBOND_POLICY": str(world.folder / "policy.txt"),
                "INBOND_KEYS": str(world.folder / "keys"),
            }
            yield Both(world, here, there, folder, server.tokens["vendor-trainer"])
        registry.close()


def test_documents(both: Both) -> None:
    size = both.world.size()
    found = both.same("terms", "timeline", f"{DEEPSEEK}@2026-04-29")
    assert [(each["starts"], each["ends"], each["readings"]) for each in found["versions"]] == [
        ("2021-01-01", "2030-01-01", 1), ("2030-01-01", None, 0),
    ]  # fmt: skip
    assert (found["tree_size"], len(both.same("terms", "timeline", DEEPSEEK, "--at", "2029-12-31")["versions"])) == (size, 1)
    assert both.same("terms", "timeline", f"{DEEPSEEK}@2026-04-29", "--as-of", size - 2)["versions"][-1]["ends"] is None
    found = both.same("terms", "diff", f"{DEEPSEEK}@2026-04-29", f"{DEEPSEEK}@2030-01-01")
    assert [(each["after"], each["fields"]) for each in found["facts"]] == [(None, [])]
    assert found["text"][-1] == "+No more.\N{REPLACEMENT CHARACTER}[2J"
    policy = both.same("terms", "odrl", f"{DEEPSEEK}@2026-04-29")["policy"]
    assert [each["inbond:says"] for each in policy["prohibition"]] == ["no"]
    assert f"{DEEPSEEK}@2026-04-29" in {each["name"] for each in both.same("terms", "review", "--days", "0")["unread"]}
    then = both.same("terms", "list", "--in-force", "2031-01-01", "--as-of", size - 2)["terms"]
    assert [each["ends"] for each in then if each["name"].startswith(DEEPSEEK)] == [None]
    assert "expected a size from 1 to" in both.run(both.there, "terms", "list", "--as-of", size + 1, code=2).err
    asked = ("terms", "fact", "list", "--terms", f"{DEEPSEEK}@2026-04-29")
    assert [each["permits"] for each in both.same(*asked, "--as-of", size - 1)["facts"]] == ["yes"]
    assert [each["permits"] for each in both.same(*asked)["facts"]] == ["no"]
    assert both.same("terms", "acceptances", "--as-of", 1)["acceptances"] == []
    assert "2030-01-01" not in {each["starts"] for each in both.same("terms", "list", "--in-force", "2029-12-31")["terms"]}
    assert {each["starts"] for each in both.same("terms", "list")["terms"] if each["name"].startswith(DEEPSEEK)} == {
        "2021-01-01", "2030-01-01",
    }  # fmt: skip


def test_students(both: Both) -> None:
    found = both.same("student", "obligations", "lab/commercial", "--notice", both.folder / "NOTICE")
    assert found["verdict"] == "prohibited"
    assert {"name_prefix", "licence_copy"} <= {each["type"] for each in found["obligations"]}
    by_there = (both.folder / "NOTICE").read_text()
    both.run(both.here, "student", "obligations", "lab/commercial", "--notice", both.folder / "NOTICE")
    assert (both.folder / "NOTICE").read_text() == by_there
    assert f"[here the text of {LLAMA}@2024-07-23: " in by_there
    assert both.same("check", "llama", "--student", "lab/commercial")["verdict"] == "permitted_with_obligations"
    assert both.same("check", "llama", "--student", "lab/commercial")["verdict"] == "permitted_with_obligations"
    shut = both.same("check", "llama", "chats", "--student", "lab/commercial", code=5)
    [forbids] = [each for each in shut["reasons"] if each["rule"] == "clause-2"]
    assert forbids["fact"].startswith("terms_fact:")
    assert forbids["terms"] == f"{DEEPSEEK}@2026-04-29"
    [grant] = both.same("student", "evaluation", "lab/commercial")["grants"]
    assert (grant["then"], grant["now"], grant["rules"]) == ("permitted_with_obligations", "prohibited", ["clause-2"])
    before = both.same("student", "evaluation", "lab/commercial", "--as-of", both.world.size() - 1)["grants"]
    assert [(each["now"], each["rules"]) for each in before] == [("permitted_with_obligations", [])]


def test_impact(both: Both) -> None:
    found = both.same("terms", "impact", f"{DEEPSEEK}@2026-04-29", "--at", "2026-12-01")
    assert {each["ref"].partition(":")[0] for each in found["changed"]} == {"student", "grant", "release"}
    assert {(each["before"], each["after"]) for each in found["changed"]} == {("permitted_with_obligations", "prohibited")}
    for where in (both.here, both.there):
        for since in (both.world.size(), 2**53):
            line = ("terms", "impact", f"{DEEPSEEK}@2026-04-29", "--since", since)
            assert "expected" in both.run(where, *line, code=2).err


def test_what_is_put_on_record_through_a_server_carries_its_verdict(both: Both) -> None:
    registry, world = both.world.registry, both.world
    (both.folder / "weights").write_bytes(b"second")
    (both.folder / "facts.toml").write_text(ACTUAL)
    line = ("student", "release", "lab/commercial", both.folder / "weights", "--facts", both.folder / "facts.toml")
    assert "by the terms on record: prohibited" in both.run(both.there, *line).err
    newest = list(registry.every(ListedRelease))[-1].ref
    body = world.body(newest)
    policy = body.policy.known
    expected = registry.place.terms.release("lab/commercial", body.actual, policy.evaluated.at)
    assert (policy.verdict, policy.decisions) == (Verdict.PROHIBITED, expected.decisions)
    assert [line["rule"] for line in registry.place.lines(policy.reasons, newest)] == [each.rule for each in expected.reasons]
    owed = [line["obligation"] for line in registry.place.lines(body.obligations, newest)]
    assert owed == list(dict.fromkeys(each.fact for each in expected.obligations))
    assert owed

    (both.folder / "text").write_text("Once more.\n")
    size, there = world.size(), both.there | {"INBOND_TOKEN": served_token(both, "compliance")}
    add = ("terms", "add", both.folder / "text", "--party", "deepseek", "--title", DEEPSEEK, "--version", "b")
    assert "in force at once" in both.run(there, *add, "--effective", "2030-01-01", code=8).err
    assert world.size() == size
    world.check()


def test_a_release_stands_where_its_verdict_is_withheld(both: Both) -> None:
    """The weights of another party's student, whose licence has a reading that is not for that party."""
    world, keys = both.world, both.folder / "vendor-keys"
    keys.mkdir(mode=0o700)
    shutil.copy2(world.folder / "keys" / "vendor-trainer.key", keys / "trainer.key")
    base = world.initialised(world.ref("meta/llama-3.1-8b@1"))
    world.student("vendor/own", key="vendor-trainer", initialised_from=(base,))
    hidden = reading(world.ref(LLAMA), clause="99", conditions=(condition("label_ai_generated"),))
    world.put("terms_fact", hidden, "compliance", visibility=Visibility.INTERNAL)
    there = both.there | {"INBOND_TOKEN": both.vendor, "INBOND_KEYS": str(keys)}
    assert "this answer rests on" in both.run(there, "student", "obligations", "vendor/own", code=4).err
    (both.folder / "own").write_bytes(b"own")
    both.run(there, "student", "release", "vendor/own", both.folder / "own")
    policy = world.body(list(world.registry.every(ListedRelease))[-1].ref).policy
    assert policy == unknown(Reason.WITHHELD)
    world.check()


def served_token(both: Both, role: str) -> str:
    from inbond.api.tokens import TokenStore

    return TokenStore(both.world.folder).add(both.world.registry.operator, [role])[0]
