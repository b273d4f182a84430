"""A world in the middle of things, and statements that almost fit in: for the tests of admission."""

from typing import Any

from inbond.ledger.keys import SigningKey
from inbond.schemas import statements as s
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.scalars import EMPTY_LIST
from tests.registry.world import LONG_AGO, World, ask_body, consume_body, rule_body, student_body

NO_OBJECT = "sha256:" + "1" * 64


class Scene:
    """A world with a run of `lab/pupil` over `chat`, granted, with its first ten samples consumed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.student, self.other = world.ref("lab/pupil", "student"), world.ref("lab/other", "student")
        self.theirs = world.ref("vendor/mini", "student")
        self.terms, self.teacher = world.ref("acme-terms"), world.ref("acme/base@1")
        self.chat, self.code = world.ref("chat"), world.ref("code")
        self.parts = world.parts("chat")
        self.shard = self.parts[0][0]
        self.vendor, self.operator = world.ref("vendor", "party"), world.registry.operator
        self.run, self.key = world.run(self.student, "scene", self.chat)
        self.grant = world.grant(self.run, self.key, self.parts, request_id="ab" * 16)
        self.export = world.grant(self.run, self.key, self.parts, mode=s.GrantMode.EXPORT)
        self.expired = world.grant(self.run, self.key, self.parts, expires=LONG_AGO)
        self.first = world.consume(self.run, self.key, self.grant, 0, 10)
        self.closed, self.closed_key = world.run(self.student, "closed", self.chat)
        self.closed_grant = world.grant(self.closed, self.closed_key, self.parts, mode=s.GrantMode.EXPORT)
        world.put("run", close_body(self.student, self.closed), "trainer")
        self.ask = world.put("decision", ask_body(self.other, self.terms), "trainer")

    def consume(self, grant: str | None = None, first: int = 10, last: int = 20, **changes: Any) -> Envelope:
        grant = None if changes.pop("grant_off", False) else grant or self.grant
        body = consume_body(self.run, grant, first, last, **({"sequence": 1, "previous": self.first} | changes))
        return self.world.signed("consume", body, self.key, party=self.operator)

    def granted(self, *, by: str = "registry", **changes: Any) -> Envelope:
        return self.world.signed("grant", self.world.grant_body(self.run, self.key, self.parts, **changes), by)

    def opened(
        self, name: str, *keys: Any, student: str | None = None, key: SigningKey | None = None, **changes: Any
    ) -> Envelope:
        key, party = key or SigningKey.generate("run"), changes.pop("party", self.operator)
        body = self.world.run_body(student or self.student, name, key, self.chat, **changes)
        return self.world.signed("run", body, *(keys or ("trainer", key)), party=party)

    def dataset(self, spans: Any, by: str = "producer", **changes: Any) -> Envelope:
        return self.world.signed("dataset", self.world.dataset_body("new", spans, **changes), by)

    def shard_of(self, by: str = "producer", **changes: Any) -> Envelope:
        body = self.world.changed(self.shard, **({"ordinal": 99} | changes))
        return self.world.signed("shard", body, by)

    def delivery(self, **changes: Any) -> Envelope:
        by = changes.pop("by", "registry")
        return self.world.signed("delivery", delivery_of(**({"object": self.chat, "grant": self.export} | changes)), by)

    def ruled(self, *keys: str, ask: str | None = None, subjects: tuple[str, ...] = (), **header: Any) -> Envelope:
        body = rule_body(ask or self.ask, *(subjects or (self.other, self.terms)))
        return self.world.signed("decision", body, *(keys or ("compliance",)), **header)

    def released(self, student: str, runs: tuple[str, ...], by: str = "trainer") -> Envelope:
        plan = s.ReleasePlan(**{name: unknown() for name in s.ReleasePlan.__struct_fields__})
        body = s.Release(
            student=student,
            weights=NO_OBJECT,
            runs=tuple(s.ReleasedRun(run=run, checkpoint=NO_OBJECT) for run in runs),
            merged_from=(),
            released=LONG_AGO,
            eu_market=unknown(),
            actual=plan,
            channels=(),
            parameters=unknown(),
            modalities=(),
            flop=unknown(),
            mau=unknown(),
            continuous=unknown(),
            policy=unknown(),
            obligations=EMPTY_LIST,
        )
        return self.world.signed("release", body, by)

    def initialised_from(self, model: str) -> Envelope:
        body = student_body("new", initialised_from=(self.world.initialised(model),))
        return self.world.signed("student", body, "trainer")


def delivery_of(object: str, **changes: Any) -> s.Delivery:
    """A delivery of whole shards to nobody in particular, under no grant."""
    fields: dict[str, Any] = {
        "policy": unknown(),
        "object": object,
        "recipient": unknown(),
        "channel": s.Channel.DOWNLOAD,
        "purpose": unknown(),
    }
    return s.Delivery(**(fields | changes))


def close_body(student: str, run: str) -> s.RunClose:
    return s.RunClose(
        student=student,
        run=run,
        outcome=s.Outcome.KEPT,
        inputs=EMPTY_LIST,
        inputs_complete=unknown(),
        checkpoints=(),
        flop=unknown(),
        mwh=unknown(),
    )
