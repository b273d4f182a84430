"""California's twelve items: where each comes from, and what is said when it is not on record."""

from typing import Any

from inbond.ledger import dsse
from inbond.ledger.entries import parse_entry
from inbond.registry.disclosure.document import State
from inbond.schemas import statement
from inbond.schemas.statements import Consume
from tests.registry.disclosure.reading import field, figures, gaps, report, says, states
from tests.registry.recount import plan_of, recount
from tests.registry.world import World

ITEMS = tuple(f"(a)({number})" for number in range(1, 13))
FLAG = {"value": False, "tool": "scan 3", "date": "2026-09-01"}
ALL = {name: FLAG for name in ("personal", "consumer", "copyright", "trademark", "patent")}


def told_all(world: World) -> None:
    for shard, *_ in world.parts("evals"):
        world.registry.declare(shard, {"flags": ALL})


def day(time: str) -> str:
    return f"{time[8:10]}/{time[5:7]}/{time[:4]}"


def test_twelve_items_from_what_is_on_record(told: World) -> None:
    told_all(told)
    found = report(told, "ca-ab2013")
    assert found.gaps == ()
    assert states(found, State.FILLED) == {"developer", "system", "update", *ITEMS}
    assert says(found, "developer") == ["Lab Models GmbH"]
    assert says(found, "system") == ["lab/pupil@1", "Pupil 1, released 01/10/2026"]
    owners = says(found, "(a)(1)")
    assert owners[:3] == [
        "chat@1: outputs of acme/base@1 of acme",
        "code@1: outputs of acme/coder@2 of acme",
        "evals@1: outputs of beta/chat@1 of beta, supplied by vendor <https://data.example/evals>",
    ]
    assert "annotators, of lab (prompts or other data)" in owners
    assert says(found, "(a)(2)")[0] == "Intended purpose: answering questions about software"
    assert "judged@1 served preference training." in says(found, "(a)(2)")
    assert says(found, "(a)(3)") == [
        "chat@1 | 30 | not known",
        "code@1 | 10 | not known",
        "evals@1 | 6 | not known",
        "judged@1 | 10 | 200",
    ]
    assert says(found, "(a)(5)")[:2] == ["Do the datasets include data protected by copyright?", "[Yes]"]
    assert "[No]" in says(found, "(a)(5)")
    assert says(found, "(a)(6)")[:2] == [
        "[Yes]",
        "Outputs were obtained under: acme-terms@2026-01-01 and beta-licence@2025-03-01.",
    ]
    assert says(found, "(a)(7)")[1] == says(found, "(a)(8)")[1] == "[No]"
    assert says(found, "(a)(9)") == ["[Yes]", "deduplicate with minhash 2; purpose: fewer repeats"]
    assert says(found, "(a)(10)")[2] == "evals@1: 01/2025 to 05/2025"
    assert says(found, "(a)(12)")[0] == "[Yes]"


def test_first_use_is_the_first_entry_that_gave_any_of_it(told: World) -> None:
    """By hand: walk the entries, and see which dataset's rows each segment gave."""
    runs: dict[str, Any] = {}
    datasets: dict[str, Any] = {}
    first: dict[str, tuple[int, str]] = {}
    store = told.registry.store
    with told.registry.reading() as reader:
        for seq, data in reader.entries():
            entry = parse_entry(data)
            said = statement.read(dsse.payload_of(entry.dsse))
            if said.kind == "dataset":
                lines = store.read_lines(said.body.parts.digest, said.body.parts.root, int(said.body.parts.count))
                datasets[said.ref] = [(x["split"], x["shard"], a, b) for x in lines for a, b in x["rows"]]
            elif said.kind == "run" and hasattr(said.body, "plan"):
                runs[said.ref] = said.body
            elif isinstance(said.body, Consume):
                for shard, _ in plan_of(runs[said.body.run], datasets)[said.body.first : said.body.last]:
                    name = next(name for name in ("chat", "code", "evals", "judged") if shard in {p[0] for p in told.parts(name)})
                    first.setdefault(f"{name}@1", (seq, entry.time))
    found = report(told, "ca-ab2013")
    assert says(found, "(a)(11)") == [f"{name}: {day(time)}" for name, (_, time) in sorted(first.items())]
    rests = {each.name: each.entries for each in field(found, "(a)(11)").figures}
    assert rests == {f"first use of {name}": (seq,) for name, (seq, _) in first.items()}


def test_numbers_are_those_of_a_recount(told: World) -> None:
    parts, _ = recount(told, told.ref("lab/pupil", "student"), told.size())
    rows = {row for part in parts.values() for row in part.rows}
    expected = {
        f"rows of {name}@1": sum(shard in {p[0] for p in told.parts(name)} for shard, _ in rows)
        for name in ("chat", "code", "evals", "judged")
    }
    assert figures(report(told, "ca-ab2013"), "(a)(3)") == expected


def test_what_nobody_has_declared_is_missing(lived: World) -> None:
    found = report(lived, "ca-ab2013")
    facts = {gap.fact for gap in found.gaps}
    assert {"purpose", "content.types", "processing", "generated", "party.legal_name"} <= facts
    assert {f"flags.{name}" for name in ("personal", "consumer", "copyright", "trademark", "patent")} <= facts
    for id in ("(a)(2)", "(a)(4)", "(a)(5)", "(a)(7)", "(a)(8)", "(a)(9)", "(a)(10)"):
        assert field(found, id).state is State.MISSING
        assert gaps(found, id)[0].supply.startswith("inbond declare ")
    assert field(found, "(a)(12)").state is State.FILLED


def test_lost_findings_are_not_known_and_no_gap(told: World) -> None:
    for shard, *_ in told.parts("evals"):
        told.registry.declare(shard, {"flags": {name: {"unknown": "lost"} for name in ALL}})
    found = report(told, "ca-ab2013")
    assert found.missing == 0
    assert field(found, "(a)(7)").state is State.NOT_KNOWN
    assert field(found, "(a)(7)").reason == "of 1 shard nobody can say whether there is personal information: it is lost"
