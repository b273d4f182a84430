"""Questions about terms: timelines, differences, what changes do; what the gate and the engine say of students.

Nothing is recorded. An answer of the engine is given whole or not at all: with what somebody may not see left out, it would
be another answer.
"""

import dataclasses
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.types import ControllerRouterHandler

from inbond.api.auth import MEMBER
from inbond.api.bodies import Publishing, Releasing
from inbond.api.routes.declared import HEX_32, REF, AsOf, Id, Moment, SomeRef, each, told
from inbond.api.served import Served, answer
from inbond.api.tokens import Principal
from inbond.registry.places.folder_terms import MOST_DAYS
from inbond.registry.terms.answers import (
    Checked,
    Difference,
    Odrl,
    Published,
    Review,
    TermsEvaluation,
    TermsImpact,
    Timeline,
    Weighed,
)
from inbond.schemas.errors import InvalidInput
from inbond.schemas.scalars import Ref

_DATASET: Final = "References of dataset versions"

Other = Annotated[str, PathParameter(pattern=HEX_32, description="The id of the document to compare with.")]
Datasets = Annotated[
    list[Ref],
    QueryParameter(name="dataset", min_items=1, max_items=100, description=f"{_DATASET}.", schema_extra=each(REF)),
]
SomeDatasets = Annotated[
    list[Ref] | None,
    QueryParameter(
        name="dataset", max_items=100, description=f"{_DATASET}; all that its runs read unless given.", schema_extra=each(REF)
    ),
]
Split = Annotated[str | None, QueryParameter(max_length=64, description="One split; all unless given.")]
Since = Annotated[int | None, QueryParameter(ge=1, le=2**53 - 1, description="The tree size before; that of the newest change.")]
Days = Annotated[int, QueryParameter(ge=0, le=MOST_DAYS, description="For how many days nobody has read them.")]


# -- documents -------------------------------------------------------------------------------------------------------------


@get("/v1/terms/{id:str}/timeline", sync_to_thread=True, **told("get_timeline", MEMBER, tags=("terms",)))
def timeline(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id, at: Moment = None, as_of: AsOf = None
) -> Response[Timeline]:
    """The versions of a document, oldest first; with `at` those in force then, with `as_of` as it was known then."""
    start = served.thing(who, f"terms:{id}").ref
    return answer(served.whole(who, served.place.terms.timeline(start, at, as_of)))


@get("/v1/terms/{id:str}/diff/{other:str}", sync_to_thread=True, **told("get_terms_diff", MEMBER, tags=("terms",)))
def difference(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id, other: Other, as_of: AsOf = None
) -> Response[Difference]:
    """What changed from one document to another: a unified diff of the archived texts, and what was read otherwise."""
    one, end = (served.thing(who, f"terms:{each}").ref for each in (id, other))
    return answer(served.whole(who, served.place.terms.difference(one, end, as_of)))


@get("/v1/terms/{id:str}/odrl", sync_to_thread=True, **told("get_terms_odrl", MEMBER, tags=("terms",)))
def odrl(served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id, as_of: AsOf = None) -> Response[Odrl]:
    """What is known of a document as an ODRL policy, JSON-LD."""
    start = served.thing(who, f"terms:{id}").ref
    return answer(served.whole(who, served.place.terms.odrl(start, as_of)))


@get("/v1/terms/{id:str}/terms-impact", sync_to_thread=True, **told("get_terms_impact", MEMBER, tags=("terms",)))
def impact(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id, since: Since = None, at: Moment = None
) -> Response[TermsImpact]:
    """Students, grants, releases and reports whose verdict the newest change of a document changed, or all since a size."""
    start = served.thing(who, f"terms:{id}").ref
    found = served.place.terms.impact(start, since, at)
    return answer(dataclasses.replace(found, names=served.named(who, found.names)))


@get("/v1/terms/review", sync_to_thread=True, **told("review_terms", MEMBER, tags=("terms",)))
def review(served: NamedDependency[Served], who: NamedDependency[Principal | None], days: Days = 90) -> Response[Review]:
    """The documents in force that nobody has read again for so long, of those that may be seen."""
    found = served.place.terms.unread(days)
    shown = served.visible(who, served.place.things(item.terms for item in found.unread).values())
    return answer(dataclasses.replace(found, unread=tuple(item for item in found.unread if item.terms in shown)))


# -- students --------------------------------------------------------------------------------------------------------------


@get("/v1/policy/check", sync_to_thread=True, **told("check_policy", MEMBER, tags=("gate",)))
def check(
    served: NamedDependency[Served],
    who: NamedDependency[Principal | None],
    student: SomeRef,
    datasets: Datasets,
    split: Split = None,
) -> Response[Checked]:
    """Whether a student may learn from the rows of datasets now, and why not. A gate that is shut is an answer, not a problem."""
    start, wanted = _seen(served, who, "student", student), [_seen(served, who, "dataset", each) for each in datasets]
    return answer(served.whole(who, served.place.check(start, wanted, split)))


@post("/v1/policy/release", status_code=200, sync_to_thread=True, **told("check_release", MEMBER, tags=("gate",), body=True))
def release(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], data: JSONBody[Releasing]
) -> Response[Checked]:
    """What the gate says of a student that is released as `actual` has it: what a release statement carries."""
    start = _seen(served, who, "student", data.student)
    return answer(served.whole(who, served.place.terms.release(start, data.actual, data.at)))


@post("/v1/policy/dataset", status_code=200, sync_to_thread=True, **told("check_dataset", MEMBER, tags=("gate",), body=True))
def publish(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], data: JSONBody[Publishing]
) -> Response[Published]:
    """What terms say of the parts of a dataset version whoever learns from them: what a dataset statement carries."""
    return answer(served.whole(who, served.place.terms.dataset(data.parts, data.at)))


@get("/v1/students/{id:str}/obligations", sync_to_thread=True, **told("get_obligations", MEMBER, tags=("gate",)))
def obligations(
    served: NamedDependency[Served],
    who: NamedDependency[Principal | None],
    id: Id,
    datasets: SomeDatasets = None,
    at: Moment = None,
    as_of: AsOf = None,
) -> Response[Weighed]:
    """What the terms on record ask of a student: the engine's verdict, obligations, clashes, and the text of a NOTICE."""
    start = served.thing(who, f"student:{id}").ref
    wanted = [_seen(served, who, "dataset", each) for each in datasets or ()]
    return answer(served.whole(who, served.place.terms.weigh(start, wanted, at, as_of)))


@get("/v1/students/{id:str}/terms-evaluation", sync_to_thread=True, **told("get_terms_evaluation", MEMBER, tags=("gate",)))
def evaluation(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id, at: Moment = None, as_of: AsOf = None
) -> Response[TermsEvaluation]:
    """Each grant of a student: the verdict that it carries, what the gate says now, and by which rules it differs."""
    start = served.thing(who, f"student:{id}").ref
    return answer(served.whole(who, served.place.terms.evaluation(start, at, as_of)))


def _seen(served: Served, who: Principal | None, kind: str, ref: str) -> str:
    """`ref`, which must be a thing of `kind` that `who` may see."""
    if not ref.startswith(f"{kind}:"):
        raise InvalidInput(f"{kind}: expected a reference to a {kind}, found {ref}")
    return served.thing(who, ref).ref


ROUTES: tuple[ControllerRouterHandler, ...] = (
    timeline, difference, odrl, impact, review, check, release, publish, obligations, evaluation,
)  # fmt: skip
