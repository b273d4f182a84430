"""Tables of docs/ that speak of the code agree with it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar

from inbond.api.app import create_app
from inbond.api.auth import ANYONE_KNOWN, MEMBER, PUBLIC
from inbond.api.auth import table as access_table
from inbond.api.cli.main import INTERRUPTED, READER_LEFT
from inbond.api.deadlines import Protocol
from inbond.api.edge import MAX_HEAD
from inbond.api.problems import ClientLeft
from inbond.api.serving import config
from inbond.api.settings import Settings
from inbond.ledger.log import MAX_BATCH
from inbond.registry import Registry
from inbond.registry.admission import _CHECKS
from inbond.registry.clocks import CLOCKS
from inbond.registry.disclosure.document import Gap
from inbond.registry.disclosure.model import TEMPLATES
from inbond.registry.importers import IMPORTERS
from inbond.registry.lineage import MAX_HOPS
from inbond.registry.places.paths import COLLECTIONS
from inbond.registry.shards.stream_codes import STEP
from inbond.registry.shards.writer import MAX_ROWS, MAX_TEXT
from inbond.registry.terms.engine import RULES
from inbond.schemas import statements
from inbond.schemas.columns import TEXT_SCHEMA
from inbond.schemas.declared import Reason
from inbond.schemas.entry import MAX_ENTRY, MAX_PAYLOAD
from inbond.schemas.errors import InbondError, InvalidInput
from inbond.schemas.kinds import ANYONE, KINDS, RUN, Kind
from inbond.schemas.scalars import MAX_LIST, Role
from inbond.schemas.statements import DecisionRule, Header

DOCS = Path(__file__).parents[2] / "docs"


def table(page: str, head: str) -> list[list[str]]:
    """The rows below the table head that begins with the cell `head`; cells without backticks."""
    text = (DOCS / f"{page}.md").read_text().replace("`", "")
    match = re.search(rf"(?m)^\| {re.escape(head)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text)
    assert match, f"{page}.md has no table that begins with {head!r}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in match[1].splitlines()]


def words(cell: str) -> list[str]:
    return [word for word in re.split(r",\s*", cell) if word]


def roles_in_words(kind: Kind) -> str:
    """What the page says about a kind's roles."""
    if kind.roles == {RUN}:
        return "the run's key"
    said = "any" if kind.roles == ANYONE else ", ".join(role for role in Role if role in kind.roles)
    if kind.narrower:
        assert kind.narrower == {DecisionRule: {Role.COMPLIANCE}}
        said += " to ask, compliance to rule"
    return said


def test_who_signs_what() -> None:
    found = {row[0]: row[2] for row in table("operations", "kind")}
    assert found == {name: roles_in_words(kind) for name, kind in KINDS.items()}


def test_kinds_without_a_flow() -> None:
    text = (DOCS / "operations.md").read_text()
    said = text[text.index("The format knows more kinds") : text.index("are refused until there is a flow")]
    assert set(re.findall("`([a-z_]+)`", said)) == set(KINDS) - set(_CHECKS) - {"genesis"}


def test_subjects() -> None:
    rows = table("formats", "kind")
    named = {kind: row[1] for row in rows[:-1] for kind in words(row[0])}
    assert rows[-1] == ["every other", "the predicate"]
    assert set(named) == {name for name, kind in KINDS.items() if kind.subject is not None}
    for kind, where in named.items():
        path = words(where)[0].split(".")
        assert KINDS[kind].subject(_stub(path)) == "the digest", kind  # type: ignore[misc]


class _Stub:
    pass


def _stub(path: list[str]) -> Any:
    """An object with the digest at `path` and nothing else."""
    if not path:
        return "the digest"
    made = _Stub()
    setattr(made, path[0], _stub(path[1:]))
    return made


def test_the_header() -> None:
    assert [row[0] for row in table("formats", "in header")] == list(Header.__struct_fields__)


def test_lines_of_lists() -> None:
    lines = {
        "parts of a dataset or grant": statements.PartLine,
        "inputs of a shard": statements.InputLine,
        "derived_from of a shard": statements.DerivedLine,
        "inputs of a run's close": statements.RunInputLine,
        "obligations of a release": statements.ObligationMetLine,
        "targets of a recall or erasure": statements.TargetLine,
        "gaps of a report": Gap,
    }
    found = {row[0]: row[1] for row in table("formats", "list")}
    assert set(lines) <= set(found)
    for name, struct in lines.items():
        fields = [f"`{field}`" for field in struct.__struct_fields__]
        raw = next(
            line for line in (DOCS / "formats.md").read_text().splitlines() if line.replace("`", "").startswith(f"| {name} |")
        )
        assert re.findall(r"`[a-z_]+`", raw.split("|")[2]) == fields, name


def test_columns() -> None:
    named = [name for row in table("formats", "column") for name in re.split(r", | … ", row[0])]
    assert named == [name for name in TEXT_SCHEMA.names if name in named]
    skipped = TEXT_SCHEMA.names[TEXT_SCHEMA.names.index("input_ids") + 1 : -1]
    assert set(TEXT_SCHEMA.names) - set(named) == set(skipped)


def test_templates() -> None:
    forms = [kind.form for kind in TEMPLATES.values()]
    assert table("disclosure", "template") == [[form.id, form.title, form.follows] for form in forms]


def test_reasons_and_clocks() -> None:
    text = (DOCS / "formats.md").read_text()
    said = text[text.index("a reason among") :].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", said)) == set(Reason)
    assert tuple(row[0] for row in table("concepts", "clock")) == tuple(CLOCKS)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("an entry", f"{MAX_ENTRY:,} bytes"),
        ("a statement's payload", f"{MAX_PAYLOAD:,} bytes"),
        ("a list within a statement", f"{MAX_LIST} items; longer ones are objects"),
        ("statements in one transaction", f"{MAX_BATCH:,}"),
        ("records in a shard", f"{MAX_ROWS:,}, or {MAX_TEXT >> 20} MiB of text"),
        ("hops in an answer about lineage", f"{MAX_HOPS:,}"),
        ("an object that is put to a server", f"{Settings().max_upload >> 30} GiB (--max-upload)"),
        ("another body of a request", f"{Settings().max_body >> 10} KiB"),
        ("a pause in a body", f"{Settings().body_wait:g} seconds"),
        ("statements that wait for the log", f"{Settings().max_waiting:,}"),
    ],
)
def test_limits(what: str, value: str) -> None:
    assert {row[0]: row[1] for row in table("operations", "what")}[what] == value


def test_limits_of_the_socket(app: Litestar) -> None:
    limits = {row[0]: row[1] for row in table("operations", "what")}
    settings = config(app)
    assert limits["connections to a server"] == f"{settings.limit_concurrency:,}"
    assert limits["the head of a request"] == f"{MAX_HEAD >> 10} KiB, within {Protocol.HEAD_SECONDS:g} seconds"
    assert (settings.h11_max_incomplete_event_size or 0) > MAX_HEAD  # so that the answer is ours


def test_roles_may_ask_what_the_page_says(app: Litestar) -> None:
    rules = {(rule.method, rule.path): rule.access for rule in access_table(app)}
    named = {
        "none": PUBLIC.roles,
        "any": ANYONE_KNOWN.roles,
        "member": MEMBER.roles,
    }
    said: dict[tuple[str, str], str] = {}
    for cell, token, _ in table("http", "route"):
        method, path = cell.partition("?")[0].split(" ")
        if "{collection}" in path:
            every = [(method, path.replace("{collection}", each)) for each in COLLECTIONS.values()]
            found = {route: token for route in every if route in rules}
            assert found, f"no route is a {cell}"
            said = found | said
        else:
            said[method, path] = token
    assert said.keys() == rules.keys()
    for route, token in said.items():
        if token == "a role of the kind":
            assert rules[route].roles, route
        else:
            assert rules[route].roles == named.get(token, frozenset(words(token))), route


def test_parameters_are_those_of_the_routes(app: Litestar) -> None:
    paths = app.openapi_schema.to_schema()["paths"]
    for cell, *_ in table("http", "route"):
        method, path = cell.partition("?")[0].split(" ")
        said = re.findall("([a-z_]+)=", cell)
        for each in COLLECTIONS.values():
            route = paths.get(path.replace("{collection}", each), {}).get(method.lower())
            taken = [item["name"] for item in (route or {}).get("parameters", ()) if item["in"] == "query"]
            if route is not None and said[:2] == ["limit", "after"]:
                assert set(said) <= set(taken), cell
            elif route is not None:
                assert sorted(said) == sorted(taken), cell
            if "{collection}" not in path:
                assert route is not None, cell
                break


def test_exit_codes() -> None:
    said = {int(row[0]) for row in table("command-line", "exit code")}
    assert said == {each.exit_code for each in family(InbondError)} | {0, INTERRUPTED, READER_LEFT}


def test_problems_are_those_of_the_tree() -> None:
    rows = {row[0]: (row[1], row[2]) for row in table("http", "type urn:inbond:problem:…")}
    ours = [each for each in family(InbondError) if each.__module__ == "inbond.schemas.errors"]
    assert rows == {each.type.rpartition(":")[2]: (str(each.status), each.__name__) for each in ours}


def test_problems_of_http_alone() -> None:
    text = (DOCS / "http.md").read_text().partition("is a kind of invalid input:")[2]
    rows = dict(re.findall(r"(?m)^\| `([a-z-]+)` \| ([0-9]{3}) \|", text))
    told = [each for each in family(InvalidInput) if each.__module__ == "inbond.api.problems" and each is not ClientLeft]
    assert rows == {each.type.rpartition(":")[2]: str(each.status) for each in told}


def family(kind: type[InbondError]) -> list[type[InbondError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in family(child))]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Litestar]:
    folder = tmp_path_factory.mktemp("routes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        with Registry.init(folder / "registry", "example.org/routes") as registry:
            yield create_app(registry)


def test_every_importer_is_described() -> None:
    rows = table("importing", "format")
    assert [row[0] for row in rows] == list(IMPORTERS)
    for name, _, logprobs, ids in rows:
        assert (ids != "") == IMPORTERS[name].logprobs, name
        assert (logprobs.startswith(("none", "stay"))) != IMPORTERS[name].logprobs, name


def test_the_bound_of_compact_log_probabilities() -> None:
    assert f"more than {STEP / 2} nats" in (DOCS / "importing.md").read_text()


def test_rules_about_terms() -> None:
    assert [tuple(row) for row in table("terms", "rule")] == list(RULES.items())
