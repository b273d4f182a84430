"""What evaluating terms takes: from a registry's database, in the engine alone, and again for many grants after a change.

    python bench/terms.py [--shards 10000] [--teachers 100] [--grants 100000]

First a real registry: so many shards of so many teachers, each teacher under a document that was read and accepted, once with
shards that were made alike and once with each made at a time of its own. Gathering reads the question from the database,
evaluating answers it; wanted: under 50 ms for 10,000 shards and 100 teachers after loading. Then the engine alone, against
circumstances; shards made alike are one circumstance, so records and shards add nothing. Last, what `inbond terms impact`
takes after a correction where so many grants rest on the document: the rows of the grants are put into the table of a real
catalogue, the rest of it comes from statements. Times are of the processor, medians of a few rounds.
"""

import argparse
import itertools
import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import process_time

import msgspec

from inbond.ledger.keys import SigningKey
from inbond.registry import tables as t
from inbond.registry.listing import ListedFact
from inbond.registry.recorder import Said
from inbond.registry.registry import Registry
from inbond.registry.terms import shelf
from inbond.registry.terms.bands import Band
from inbond.registry.terms.engine import evaluate
from inbond.registry.terms.gathering import question_of
from inbond.registry.terms.known import Accepted, Document, Reading
from inbond.registry.terms.question import Plan, Question, Use
from inbond.registry.terms.recording import accept, add_fact
from inbond.registry.times import now
from inbond.registry.training.layout import ORDER
from inbond.schemas.declared import known, unknown
from inbond.schemas.scalars import Role
from inbond.schemas.statements import (
    Acceptance,
    AcceptanceMeans,
    AppliesTo,
    CreatedBy,
    Dataset,
    DatasetCounts,
    Generated,
    Grade,
    LossOn,
    PartLine,
    PlanSource,
    RunOpen,
    Shard,
    Stage,
    UseKind,
)
from inbond.schemas.statements import Plan as RunPlan

LAB = "party:" + "a" * 32
ROUNDS = 5
SIZES = ((1, 1), (10, 10), (100, 100), (100, 10_000))
PLAN = {"distributed": True, "hosted": False, "commercial": True, "territories": ["US"], "classifier_only": False, "mau": 1000}
READING = {
    "clause": "1", "scope": "any_model", "permits_training": "yes", "conditions": [], "exceptions": [],
    "temporal_reach": "generated", "output_ownership": "customer", "student_is_derivative": "no", "grade": "P",
    "reader": "bench", "read_on": "2026-10-01",
}  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("--shards", 10_000), ("--teachers", 100), ("--grants", 100_000)):
        options.add_argument(name, type=int, default=count)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        os.environ["INBOND_STATE"] = f"{name}/state"
        with Registry.init(Path(name) / "registry", "bench.example/terms", "bench") as registry:
            from_a_database(registry, given.shards, given.teachers)
            engine_alone()
            again(registry, given.grants)


def from_a_database(registry: Registry, shards: int, teachers: int) -> None:
    """Gathering and evaluating, each alone, for datasets of a registry."""
    pattern, names = teach(registry, teachers, Path(registry.folder).parent)
    registry.add_student("bench/pupil", facts={"release_plan": PLAN})
    pupil = registry.resolve("bench/pupil", "student")
    print(f"{'shards':>9} {'teachers':>9} {'made':>12} {'uses':>7} {'gather ms':>10} {'evaluate ms':>12}")
    for count in (shards // 10, shards):
        for apart in (False, True):
            refs = clone(registry, pattern, names, count, f"{'apart' if apart else 'alike'}@{count}", apart)
            with registry.reading() as reader:
                gather = timed(lambda: question_of(reader.connection, pupil, refs, now()))  # noqa: B023
                question = question_of(reader.connection, pupil, refs, now())
            answer = timed(lambda: evaluate(question))  # noqa: B023
            made = "each apart" if apart else "alike"
            figures = f"{len(question.uses):7d} {gather * 1e3:10.1f} {answer * 1e3:12.1f}"
            print(f"{count:9d} {teachers:9d} {made:>12} {figures}", flush=True)


def teach(registry: Registry, teachers: int, folder: Path) -> tuple[Shard, list[str]]:
    """Teachers with documents that were read and accepted, and a shard to make others from."""
    names = [f"vendor{at}/model@1" for at in range(teachers)]
    for at, name in enumerate(names):
        registry.add_teacher(name, create=True, facts={"access_path": "api"})
        party, title = f"vendor{at}", f"terms {at}"
        registry.add_terms(title.encode(), party=party, title=title, effective="2021-01-01")
        add_fact(registry, title, READING)
        accept(registry, title, accepted="2021-01-01")
    file = folder / "one.jsonl"
    turns = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    file.write_bytes(msgspec.json.encode({"messages": turns}))
    [shard] = registry.import_files("messages", [file], teacher=names[0], dataset="pattern").shards
    return registry.newest(shard).body, [registry.resolve(name, "teacher") for name in names]


def clone(registry: Registry, pattern: Shard, teachers: list[str], count: int, dataset: str, apart: bool) -> list[str]:
    """So many shards with the bytes of one, by teachers in turn, made in a day of their teacher's or in minutes of their own."""
    identity, key = f"sha256:{secrets.token_hex(32)}", registry.keys.role(Role.PRODUCER)
    refs: list[str] = []
    for start in range(0, count, 500):
        said = []
        for at in range(start, min(start + 500, count)):
            teacher, round_ = teachers[at % len(teachers)], at // len(teachers)
            day = f"2026-{round_ % 9 + 1:02d}-{round_ // 9 % 28 + 1:02d}" if apart else "2026-05-01"
            model = msgspec.structs.replace(pattern.models[0], teacher=teacher)
            body = msgspec.structs.replace(
                pattern, models=(model,), import_identity=identity, ordinal=at, created_by=known(CreatedBy.OPERATOR),
                generated=known(Generated(first=day, last=day, live=False)),
            )  # fmt: skip
            said.append(Said("shard", body, [key]))
        refs += [each.ref for each in registry.recorder.record_all(said)]
    lines = [PartLine(shard=ref, rows=((0, 1),), split="train", count=1) for ref in refs]
    counts = DatasetCounts(shards=count, rows=count, tokens=unknown(), splits={"train": count})
    label, _, version = dataset.partition("@")
    body = Dataset(
        policy=unknown(), name=label, version=version, parts=registry.place.objects.put_lines(lines), counts=counts,
        purpose=unknown(), licence=unknown(),
    )  # fmt: skip
    registry.record("dataset", body, Role.PRODUCER)
    return refs


def engine_alone() -> None:
    """The engine's time against circumstances."""
    print(f"\n{'teachers':>9} {'circumstances':>14} {'ms':>9} {'us each':>9}  ratio to the row above")
    before = None
    for teachers, circumstances in SIZES:
        question = asked(teachers, circumstances)
        took = timed(lambda: evaluate(question))  # noqa: B023
        ratio = "" if before is None else f"{took / before:.1f}"
        print(f"{teachers:9d} {circumstances:14d} {took * 1e3:9.2f} {took / circumstances * 1e6:9.1f}  {ratio}")
        before = took


def opened(registry: Registry, student: str) -> tuple[str, str]:
    """A run of a student over the first dataset: its reference, and that of the student."""
    key, ref, dataset = SigningKey.generate("run"), registry.resolve(student, "student"), registry.resolve("alike", "dataset")
    body = RunOpen(
        name="bench", student=ref, stage=Stage.SFT, use_kind=UseKind.SFT, loss_on=LossOn.RESPONSE,
        plan=RunPlan(sources=(PlanSource(dataset=dataset, split="train", weight="1"),), order=ORDER, seed=0),
        run_key=key.public.base64, code=unknown(), config=unknown(), initial_weights=unknown(),
    )  # fmt: skip
    return registry.record("run", body, Role.TRAINER, key).ref, ref


def timed(call: Callable[[], object]) -> float:
    """Seconds of the processor's time, the median of some rounds."""
    took = []
    for _ in range(ROUNDS):
        started = process_time()
        call()
        took.append(process_time() - started)
    return median(took)


def again(registry: Registry, grants: int) -> None:
    """What a correction takes where so many grants rest on its document."""
    registry.add_student("bench/second", facts={"release_plan": {**PLAN, "commercial": False}})
    runs = [opened(registry, student) for student in ("bench/pupil", "bench/second")]
    rows = [
        {"ref": f"grant:{at:032x}", "seq": 1, "run": run, "student": student, "request": f"{at:032x}", "mode": "stream",
         "verdict": "permitted", "granted": now(), "expires": "2099-01-01", "report_by": "2099-01-01"}
        for at, (run, student) in zip(range(grants), itertools.cycle(runs), strict=False)
    ]  # fmt: skip
    with registry.log.database.writing() as connection:
        connection.execute(t.grants.insert(), rows)
        connection.commit()
    [fact] = [each.ref for each in registry.every(ListedFact, terms=registry.resolve("terms 0", "terms"))]
    registry.declare(fact, {"permits_training": "no"}, correct=True)
    started = process_time()
    found = registry.place.terms.impact("terms 0")
    took = process_time() - started
    print(f"\nimpact of a correction: {found.looked_at:,} students and grants looked at, {len(found.changed):,} change, ", end="")
    print(f"in {took:.2f} s: {found.looked_at / took:,.0f} a second")


def asked(teachers: int, circumstances: int) -> Question:
    plan = Plan(LAB, "Llama-mini", "proprietary", True, False, True, ("US",), False, 1000, revenue=Band(0, 1000), domicile="US")
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
