"""Questions about what is on record: lineage, shares, learners, impact, records, reports.

Each answer says the tree size that it is about, and what people call the references in it, as far as who asks may see them.
"""

import dataclasses
from typing import Annotated, Any, Literal, TypeVar, cast

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, QueryParameter

from inbond.api.auth import ANYONE_KNOWN, MEMBER, MEMBERS, only
from inbond.api.routes.declared import AsOf, Id, Moment, told
from inbond.api.served import Served, answer
from inbond.api.tokens import Principal
from inbond.registry import about
from inbond.registry.impact import Impact
from inbond.registry.learners import Learners
from inbond.registry.lineage import Answer
from inbond.registry.places.paths import COLLECTIONS
from inbond.registry.shares import Shares
from inbond.registry.tracing import Traced
from inbond.schemas.errors import InvalidInput, NotPermitted
from inbond.schemas.scalars import Role

A = TypeVar("A", Answer, Shares, Learners, Impact, Traced)

Direction = Annotated[Literal["up", "down"], QueryParameter(description="What it came from, or what it led to.")]
Depth = Annotated[int | None, QueryParameter(ge=0, le=1000, description="How many hops; all unless given.")]
Clock = Annotated[Literal["generated", "acquired", "consumed", "released"], QueryParameter(description="Which times count.")]
Record = Annotated[
    str,
    PathParameter(pattern="^(?:[0-9a-f]{64}|shard:[0-9a-f]{32}:[0-9]{1,15})$", description="A record id, or shard:ID:ROW."),
]
Template = Annotated[str, PathParameter(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="The id of a template.")]
Profile = Annotated[
    Literal["public", "downstream", "authority", "internal"] | None, QueryParameter(description="For whom the report is.")
]

_WALKED = ("student", "teacher", "shard", "dataset", "run", "release", "party", "terms")
_WITHDRAWN = ("shard", "dataset", "teacher", "recall")


def routes() -> list[HTTPRouteHandler]:
    """The routes of all questions."""
    made = [_lineage(kind) for kind in _WALKED] + [_impact(kind) for kind in _WITHDRAWN]
    return [*made, shares, report, teachers_students, partys_students, record]


def _lineage(kind: str) -> HTTPRouteHandler:
    def walk(
        served: NamedDependency[Served],
        who: NamedDependency[Principal | None],
        id: Id,
        direction: Direction = "up",
        depth: Depth = None,
        as_of: AsOf = None,
    ) -> Response[Answer]:
        start = served.thing(who, f"{kind}:{id}").ref
        return _shown(served, who, served.place.lineage(start, direction, depth, as_of))

    walk.__doc__ = f"What a {kind} came from, or led to, over weights and outputs; each hop says on which basis."
    path = f"/v1/{COLLECTIONS[kind]}/{{id:str}}/lineage"
    return get(path, sync_to_thread=True, **told(f"walk_{kind}_lineage", MEMBER, tags=("lineage",)))(walk)


def _impact(kind: str) -> HTTPRouteHandler:
    def impact(
        served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id, as_of: AsOf = None
    ) -> Response[Impact]:
        start = served.thing(who, f"{kind}:{id}").ref
        return _shown(served, who, served.place.impact(start, as_of))

    impact.__doc__ = f"Everybody and everything that a withdrawal of a {kind} reaches."
    path = f"/v1/{COLLECTIONS[kind]}/{{id:str}}/impact"
    return get(path, sync_to_thread=True, **told(f"get_{kind}_impact", MEMBER, tags=("lineage",)))(impact)


@get("/v1/students/{id:str}/teachers", sync_to_thread=True, **told("get_shares", MEMBER, tags=("lineage",)))
def shares(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id, as_of: AsOf = None
) -> Response[Shares]:
    """Whose outputs a student was given, stage by stage: rows, samples and tokens, with their denominators."""
    start = served.thing(who, f"student:{id}").ref
    return _shown(served, who, served.place.shares(start, as_of))


@get(
    "/v1/students/{id:str}/reports/{template:str}",
    sync_to_thread=True,
    **told("get_report_model", only(Role.COMPLIANCE, Role.AUDITOR), tags=("reports",)),
)
def report(
    served: NamedDependency[Served],
    who: NamedDependency[Principal | None],
    id: Id,
    template: Template,
    profile: Profile = None,
    as_of: AsOf = None,
) -> Response[dict[str, Any]]:
    """The model of a report about a student: canonical JSON, the same bytes for the same tree size and options."""
    start = served.thing(who, f"student:{id}").ref
    options = {} if profile is None else {"profile": profile}
    data = served.place.report_model(start, template, options, as_of)
    return Response(cast(dict[str, Any], data), media_type="application/json")


@get("/v1/teachers/{id:str}/students", sync_to_thread=True, **told("get_teacher_students", ANYONE_KNOWN, tags=("lineage",)))
def teachers_students(
    served: NamedDependency[Served],
    who: NamedDependency[Principal | None],
    id: Id,
    since: Moment = None,
    until: Moment = None,
    clock: Clock = "consumed",
    as_of: AsOf = None,
) -> Response[Learners]:
    """The students that learned from a teacher; a provider may ask about its own."""
    start = served.thing(who, f"teacher:{id}").ref
    _check_own(served, who, start)
    return _shown(served, who, served.place.learners(start, since=since, until=until, clock=clock, size=as_of))


@get("/v1/parties/{id:str}/students", sync_to_thread=True, **told("get_party_students", ANYONE_KNOWN, tags=("lineage",)))
def partys_students(
    served: NamedDependency[Served],
    who: NamedDependency[Principal | None],
    id: Id,
    since: Moment = None,
    until: Moment = None,
    clock: Clock = "consumed",
    as_of: AsOf = None,
) -> Response[Learners]:
    """The students that learned from any teacher of a party; a provider may ask about itself."""
    start = served.thing(who, f"party:{id}").ref
    _check_own(served, who, start)
    return _shown(served, who, served.place.learners(start, since=since, until=until, clock=clock, size=as_of))


@get("/v1/records/{record:str}", sync_to_thread=True, **told("trace_record", MEMBER, tags=("lineage",)))
def record(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], record: Record, as_of: AsOf = None
) -> Response[Traced]:
    """Where a record lies, who made it, and whom it reached."""
    return _shown(served, who, served.place.trace(record, as_of))


def _shown(served: Served, who: Principal | None, found: A) -> Response[A]:
    """An answer without the names of what `who` may not see."""
    return answer(dataclasses.replace(found, names=served.named(who, found.names)))


def _check_own(served: Served, who: Principal | None, start: str) -> None:
    """Raise unless `who` is a member, or the party that `start` is about."""
    if who is None:
        raise InvalidInput("expected a principal")
    if who.roles & MEMBERS:
        return
    with served.place.reading() as reader:
        if who.party not in about.parties_of(reader.connection, [start])[start]:
            raise NotPermitted(f"{start}: expected one of party {who.party}, found another's")
