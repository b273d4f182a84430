"""The engine's time, against teachers and against the circumstances in which their outputs were made.

Shards made alike are one circumstance, so records and shards add nothing; ten thousand circumstances are the worst that ten
thousand shards can be. The last row evaluates one question again and again, as a change of terms does with grants.
"""

import itertools
import time
from dataclasses import replace

from inbond.registry.terms import shelf
from inbond.registry.terms.engine import evaluate
from inbond.registry.terms.known import Accepted, Document, Reading
from inbond.registry.terms.question import Plan, Question, Use
from inbond.schemas.declared import known, unknown
from inbond.schemas.statements import Acceptance, AcceptanceMeans, AppliesTo, Grade

LAB = "party:" + "a" * 32
ROUNDS = 5
SIZES = ((1, 1), (10, 10), (100, 100), (100, 10_000))


def main() -> None:
    print(f"{'teachers':>9} {'circumstances':>14} {'ms':>9} {'us each':>9}  ratio to the row above")
    before = None
    for teachers, circumstances in SIZES:
        question = asked(teachers, circumstances)
        took = min(timed(question) for _ in range(ROUNDS))
        ratio = "" if before is None else f"{took / before:.1f}"
        print(f"{teachers:9d} {circumstances:14d} {took * 1e3:9.2f} {took / circumstances * 1e6:9.1f}  {ratio}")
        before = took
    question, started, count = asked(3, 3), time.perf_counter(), 0
    while time.perf_counter() - started < 2:
        evaluate(question)
        count += 1
    print(f"evaluated again: {count / (time.perf_counter() - started):,.0f} grants of three teachers a second")


def timed(question: Question) -> float:
    started = time.perf_counter()
    evaluate(question)
    return time.perf_counter() - started


def asked(teachers: int, circumstances: int) -> Question:
    plan = Plan(LAB, "Llama-mini", "proprietary", True, False, True, ("US",), False, 1000, revenue=1000, domicile="US")
    rows = list(itertools.islice(itertools.cycle(shelf.shelf()), teachers))
    documents = [document(id, at) for at, id in enumerate(rows)]
    uses = []
    for at in range(circumstances):
        one, day = documents[at % teachers], f"2026-{at // teachers % 9 + 1:02d}-{at // teachers // 9 % 28 + 1:02d}"
        uses.append(Use(f"teacher:{at % teachers:032x}", one.title, one.party, "api", (one,), (day, day), LAB))
    return Question("student:" + "0" * 32, plan, "2026-11-20", tuple(uses))


def document(id: str, at: int) -> Document:
    row, terms = shelf.row(id), f"terms:{at:032x}"
    accepted = Acceptance(
        terms=terms, party=LAB, means=AcceptanceMeans.CLICK, accepted=known("2021-01-01"), ended=unknown(), account=unknown()
    )
    made = Document(
        terms, f"party:{at:032x}", row.title, row.version, "2021-01-01", None, False,
        (AppliesTo(models=row.models, access_path=row.access_path),), "sha256:" + "0" * 64,
    )  # fmt: skip
    readings = tuple(
        Reading(f"terms_fact:{at * 9 + number:032x}", type(each.fact)(**_fields(each.fact, terms)))
        for number, each in enumerate(row.facts)
    )
    return replace(made, readings=readings, accepted=(Accepted(f"acceptance:{at:032x}", accepted),))


def _fields(fact: object, terms: str) -> dict[str, object]:
    names = type(fact).__struct_fields__  # type: ignore[attr-defined]
    return {name: getattr(fact, name) for name in names} | {"terms": terms, "grade": Grade.PRIMARY}


if __name__ == "__main__":
    main()
