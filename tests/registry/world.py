"""A small registry for tests: two parties with keys, teachers, terms, datasets, students of which one is permitted.

It is built once a session and copied for each test that writes (conftest.py). What a test puts on record by hand it says
with `World.signed` and sends with `World.send`; bodies to start from are those of what is on record (`World.body`).
"""

import json
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Table, select

from inbond.ledger import dsse
from inbond.ledger import tables as ledger_tables
from inbond.ledger.keys import SigningKey
from inbond.ledger.log import Appended
from inbond.registry import gate
from inbond.registry import tables as t
from inbond.registry.disclosure import recording
from inbond.registry.place import Recorded
from inbond.registry.recorder import Said
from inbond.registry.registry import Registry
from inbond.registry.terms import asking
from inbond.registry.times import now
from inbond.registry.training.layout import ORDER
from inbond.schemas import canonical, statement
from inbond.schemas.declared import not_applicable, unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError
from inbond.schemas.kinds import KINDS
from inbond.schemas.scalars import Role
from inbond.schemas.statement import digest_of
from inbond.schemas.statements import (
    REQUEST_TYPE,
    AssertedBy,
    Basis,
    Consume,
    ConsumedColumns,
    ConsumeState,
    Dataset,
    DatasetCounts,
    DecisionAsk,
    DecisionRule,
    Evaluated,
    Grant,
    GrantMode,
    GrantRequest,
    Header,
    InitialisedFrom,
    LossOn,
    PartLine,
    Party,
    Plan,
    PlanSource,
    Question,
    Relation,
    ReleasePlan,
    Ruling,
    RunOpen,
    Seen,
    Stage,
    Student,
    UseKind,
    Verdict,
    Visibility,
)
from tests.registry.terms.facts import accepting, reading

ORIGIN = "example.org/world"
CHAT_ROWS, CODE_ROWS, BETA_ROWS, SHARD_ROWS = 30, 10, 5, 12
PART_SIZES = (12, 12, 6)
NEVER, LONG_AGO = "2099-01-01", "2020-01-01"

Part = tuple[str, int, int]


class World:
    """A registry, with builders for statements that its own commands would never make."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry.open(folder)

    def ref(self, text: str, *kinds: str) -> str:
        return self.registry.resolve(text, *kinds)

    def key(self, name: str) -> SigningKey:
        """A key by file name: `producer`, `vendor-producer`."""
        return self.registry.keys.role(name)

    def body(self, ref: str) -> Any:
        """The body of what is on record."""
        with self.registry.reading() as reader:
            data = bytes(reader.connection.execute(select(t.things.c.body).where(t.things.c.ref == ref)).scalar_one())
        bodies: Any = KINDS[ref.partition(":")[0]].bodies
        for body in bodies:
            try:
                return canonical.decode(data, body, what=ref)
            except InbondError:
                continue
        raise AssertionError(f"{ref} is none of {bodies}")

    def changed(self, ref: str, **changes: Any) -> Any:
        """The body of what is on record, with some fields changed."""
        return msgspec.structs.replace(self.body(ref), **changes)

    # -- statements by hand ------------------------------------------------------------------------------------------------

    def signed(
        self, kind: str, body: Any, *keys: SigningKey | str, party: str | None = None, seen: Seen | None = None, **header: Any
    ) -> Envelope:
        """A signed statement; keys may be file names, and the first one's party says it unless `party` does."""
        signing = [self.key(key) if isinstance(key, str) else key for key in keys]
        says = party or self.registry.recorder.party_of(signing[0])
        fields: dict[str, Any] = {
            "registry": ORIGIN,
            "id": secrets.token_hex(16),
            "seen": seen or self.registry.recorder.seen(),
            "occurred": unknown(),
            "basis": Basis.DECLARED,
            "asserted_by": AssertedBy(party=says),
            "evidence": (),
            "visibility": Visibility.PARTIES,
        }
        return dsse.sign(statement.make(kind, body, Header(**(fields | header))), signing)

    def send(self, *envelopes: Envelope) -> list[Appended | InbondError]:
        return self.registry.log.append(envelopes)

    def put(self, kind: str, body: Any, *keys: SigningKey | str, **header: Any) -> str:
        """Put a statement on record; returns its reference."""
        envelope = self.signed(kind, body, *keys, **header)
        self.registry.log.append_one(envelope)
        return statement.read(dsse.payload_of(envelope)).ref

    def party(self, name: str) -> Envelope:
        return self.signed("party", Party(legal_name=unknown(), aliases=(name,), domicile=unknown()), "compliance")

    def student(self, name: str, version: str = "1", key: str = "trainer", **changes: Any) -> str:
        return self.put("student", student_body(name, version, **changes), key)

    def initialised(self, model: str, relation: Relation = Relation.FINETUNE) -> InitialisedFrom:
        fields = {"weights", "training_flop", "terms", "eu_market", "summary"}
        return InitialisedFrom(model=model, relation=relation, **{field: unknown() for field in fields})

    def dataset_body(self, name: str, spans: Sequence[Part], version: str = "1", split: str = "train", **changes: Any) -> Dataset:
        """A dataset version of (shard, first, last)s."""
        lines = [PartLine(shard=shard, rows=((a, b),), split=split, count=b - a) for shard, a, b in spans]
        rows = sum(line.count for line in lines)
        counts = DatasetCounts(
            shards=len({line.shard for line in lines}), rows=rows, tokens=unknown(), splits={split: rows} if rows else {}
        )
        fields: dict[str, Any] = {
            "policy": unknown(),
            "name": name,
            "version": version,
            "parts": self.registry.store.put_lines(lines),
            "counts": counts,
            "purpose": unknown(),
            "licence": unknown(),
        }
        return Dataset(**(fields | changes))

    def dataset(self, name: str, spans: Sequence[Part], **changes: Any) -> str:
        return self.put("dataset", self.dataset_body(name, spans, **changes), "producer")

    def run_body(self, student: str, name: str, key: SigningKey, *datasets: str, **changes: Any) -> RunOpen:
        sources = tuple(PlanSource(dataset=ref, split="train", weight="1") for ref in datasets)
        fields: dict[str, Any] = {
            "name": name,
            "student": student,
            "stage": Stage.SFT,
            "use_kind": UseKind.SFT,
            "loss_on": LossOn.RESPONSE,
            "plan": Plan(sources=sources, order=ORDER, seed=0),
            "run_key": key.public.base64,
            "code": unknown(),
            "config": unknown(),
            "initial_weights": unknown(),
        }
        return RunOpen(**(fields | changes))

    def run(self, student: str, name: str, *datasets: str, trainer: str = "trainer") -> tuple[str, SigningKey]:
        """Open a run; returns its reference and its key."""
        key = SigningKey.generate(f"{ORIGIN}/run")
        return self.put("run", self.run_body(student, name, key, *datasets), trainer, key), key

    def grant_body(self, run: str, key: SigningKey, parts: Sequence[Part], **changes: Any) -> Grant:
        """A grant of a run's plan; the request agrees with what `changes` says, unless they give one."""
        opened = self.body(run)
        mode, columns = changes.get("mode", GrantMode.STREAM), changes.get("columns", ("response",))
        lines = self.registry.store.put_lines(
            [PartLine(shard=shard, rows=((a, b),), split="train", count=b - a) for shard, a, b in parts]
        )
        request_id = changes.pop("request_id", secrets.token_hex(16))
        request = GrantRequest(registry=ORIGIN, id=request_id, run=run, columns=columns, mode=mode, parts=lines)
        with self.registry.reading() as reader:
            ruled = asking.evaluate(reader.connection, opened.student, [part[0] for part in parts], now())[0]
        fields: dict[str, Any] = {
            "request": dsse.sign(canonical.encode(request), [changes.pop("request_key", key)], REQUEST_TYPE),
            "student": opened.student,
            "run": run,
            "plan": digest_of(opened.plan),
            "parts": lines,
            "columns": columns,
            "mode": mode,
            "principal": self.registry.operator,
            "evaluated": Evaluated(facts_size=1, rules=gate.RULES_DIGEST, at=now()),
            "verdict": Verdict.PERMITTED,
            "reasons": self.registry.store.put_lines([reason.line() for reason in ruled.reasons]),
            "obligations": self.registry.store.put_lines([]),
            "decisions": ruled.decisions,
            "expires": NEVER,
            "report_by": NEVER,
        }
        return Grant(**(fields | changes))

    def grant(self, run: str, key: SigningKey, parts: Sequence[Part], **changes: Any) -> str:
        return self.put("grant", self.grant_body(run, key, parts, **changes), "registry")

    def consume(self, run: str, key: SigningKey, grant: str | None, first: int, last: int, **changes: Any) -> str:
        """A segment of a run, on record."""
        return self.put("consume", consume_body(run, grant, first, last, **changes), key, party=self.registry.operator)

    def permit(self, student: str, terms: str, **changes: Any) -> str:
        """Asked by the trainer, permitted by compliance."""
        ask = self.put("decision", ask_body(student, terms), "trainer")
        return self.put("decision", rule_body(ask, student, terms, **changes), "compliance")

    def parts(self, dataset: str) -> list[Part]:
        """The parts of a dataset version: (shard, first, last)."""
        with self.registry.reading() as reader:
            p = t.dataset_parts.c
            query = select(p.shard, p.first, p.last).where(p.dataset == self.ref(dataset, "dataset")).order_by(p.position)
            return [(row.shard, row.first, row.last) for row in reader.connection.execute(query)]

    # -- what came of it ---------------------------------------------------------------------------------------------------

    def rows(self, *tables: Table) -> dict[str, list[Any]]:
        """All rows of tables: those of the catalogue, and the entries, unless some are given."""
        with self.registry.reading() as reader:
            return {
                table.name: [
                    row._asdict() for row in reader.connection.execute(select(table).order_by(*table.primary_key.columns))
                ]
                for table in tables or (*t.TABLES, ledger_tables.entries)
            }

    def size(self) -> int:
        with self.registry.reading() as reader:
            return reader.size

    def refuse(self, envelope: Envelope, error: type[InbondError], text: str) -> None:
        """Expect that `envelope` is refused in the middle of a batch, writes no row, and that the others of the batch stand."""
        before, size = self.rows(), self.size()
        first, found, last = self.send(self.party(secrets.token_hex(4)), envelope, self.party(secrets.token_hex(4)))
        assert isinstance(found, error), f"expected {error.__name__}, found {found!r}"
        assert re.search(text, found.message), f"expected /{text}/, found: {found.message}"
        assert (first, last) == (Appended(size, False), Appended(size + 1, False))
        after = self.rows()
        assert {name: [row for row in rows if row["seq"] < size] for name, rows in after.items()} == before
        assert sum(map(len, after.values())) == sum(map(len, before.values())) + 4

    def check(self) -> None:
        """The log audits clean, and the catalogue is what a rebuild makes of the entries."""
        report = self.registry.audit()
        assert report.verdict == "clean", report
        before = self.rows()
        self.registry.rebuild()
        assert self.rows() == before


def build(folder: Path, database: str | None = None) -> World:
    """The registry that this page describes, in `folder`."""
    with Registry.init(folder, ORIGIN, "lab", database=database) as registry:
        registry.add_party("vendor")
        for role in (Role.PRODUCER, Role.TRAINER, Role.COMPLIANCE):
            registry.add_key(role, party="vendor", public_name=f"vendor-{role}")
        for spec in ("acme/base@1", "acme/coder@2", "beta/chat@1"):
            registry.add_teacher(spec, create=True, facts={"access_path": "api"})
        registry.add_terms(b"You may, if asked.\n", party="acme", title="acme-terms", effective="2026-01-01")
        for name, count, teacher in (
            ("chat", CHAT_ROWS, "acme/base@1"),
            ("code", CODE_ROWS, "acme/coder@2"),
            ("beta", BETA_ROWS, "beta/chat@1"),
        ):
            file = messages(folder.parent / f"{name}.jsonl", name, count)
            registry.import_files("messages", [file], teacher=teacher, dataset=name, max_rows=SHARD_ROWS)
        registry.add_student("lab/pupil")
        registry.add_student("lab/other")
        asked = registry.ask("lab/pupil", "acme-terms", "lessons")
        registry.rule(asked.ref, "permit", "agreed")
    world = World(folder)
    world.student("vendor/mini", key="vendor-trainer")
    return world


def live(world: World) -> None:
    """Let everything happen in a world that can: pulls, a delivery, exports, a release, a second generation."""
    registry, folder = world.registry, world.folder.parent
    for _ in registry.pull("chat", "code", student="lab/pupil", run="lessons", segment=16):
        pass
    registry.deliver("chat", student="lab/pupil", run="copies", folder=folder / "copies")
    registry.export_dataset("code", folder / "code", recipient="vendor")
    registry.close_run("lessons", "released")
    registry.release("lab/pupil", b"weights", channels=("hub",))
    registry.add_teacher("lab/pupil@1", facts={"access_path": "weights"}, same_as="lab/pupil")
    file = messages(folder / "second.jsonl", "second", 8)
    registry.import_files("messages", [file], teacher="lab/pupil@1", dataset="second", max_rows=SHARD_ROWS)
    registry.add_terms(b"Ours.\n", party="lab", title="lab-terms", effective="2026-01-01", access_path="weights")
    registry.add_student("lab/grandpupil", initialised_from=["teacher:lab/pupil@1:adapter"])
    world.permit(world.ref("lab/grandpupil"), world.ref("lab-terms"))
    for _ in registry.pull("second", student="lab/grandpupil", run="second-lessons", segment=5, epochs=2):
        pass
    registry.declare("vendor", {"domicile": "DE"})
    world.put("terms_fact", reading(world.ref("lab-terms")), "compliance")
    world.put("acceptance", accepting(world.ref("lab-terms"), registry.operator), "compliance")
    registry.recall("beta", reason="the wrong prompts", category="quality", effective=NEVER)
    recording.make(registry, "lab/pupil", "eu-summary", folder / "summary")


def messages(path: Path, name: str, count: int) -> Path:
    """A `messages` file of `count` answers."""
    lines = [
        {"messages": [{"role": "user", "content": f"{name} {i}?"}, {"role": "assistant", "content": f"{name} answer {i}"}]}
        for i in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def student_body(name: str, version: str = "1", **changes: Any) -> Student:
    plan = ReleasePlan(**{field: unknown() for field in ReleasePlan.__struct_fields__})
    fields: dict[str, Any] = {
        "id": name,
        "version": version,
        "initialised_from": (),
        "purpose": unknown(),
        "release_plan": plan,
    }
    return Student(**(fields | changes))


def consume_body(run: str, grant: str | None, first: int, last: int, **changes: Any) -> Consume:
    fields: dict[str, Any] = {
        "grant": msgspec.UNSET if grant is None else grant,
        "run": run,
        "sequence": 0,
        "epoch": 0,
        "first": first,
        "last": last,
        "columns": ConsumedColumns.TEXT,
        "rows": last - first,
        "tokens": unknown(),
        "loss_tokens": unknown(),
        "dropped": 0,
        "state": ConsumeState.DELIVERED,
    }
    return Consume(**(fields | changes))


_NOTHING = "sha256:" + "0" * 64


def ask_body(*subjects: str, **changes: Any) -> DecisionAsk:
    fields: dict[str, Any] = {
        "question": Question.AUTHORISATION,
        "subjects": subjects,
        "scope": "lessons",
        "from_": LONG_AGO,
        "until": not_applicable(),
        "grounds": _NOTHING,
        "authoriser": not_applicable(),
    }
    return DecisionAsk(**(fields | changes))


def rule_body(ask: str, *subjects: str, **changes: Any) -> DecisionRule:
    fields: dict[str, Any] = {
        "ask": ask,
        "question": Question.AUTHORISATION,
        "subjects": subjects,
        "ruling": Ruling.PERMIT,
        "scope": "lessons",
        "from_": LONG_AGO,
        "until": not_applicable(),
        "grounds": _NOTHING,
        "authoriser": not_applicable(),
    }
    return DecisionRule(**(fields | changes))


def refused(error: type[InbondError], text: str) -> Any:
    """`pytest.raises` that says both."""
    return pytest.raises(error, match=text)


__all__ = [
    "BETA_ROWS", "CHAT_ROWS", "CODE_ROWS", "LONG_AGO", "NEVER", "ORIGIN", "PART_SIZES", "SHARD_ROWS", "Recorded", "Said",
    "World", "ask_body", "build", "consume_body", "live", "messages", "refused", "rule_body", "student_body",
]  # fmt: skip
