"""What imports and pulls ask before they go on: shards of an import, files that came twice, the state of a run."""

from typing import Annotated

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.types import ControllerRouterHandler

from inbond.api.auth import MEMBER, only
from inbond.api.routes.declared import Id, SomeRef, each, told
from inbond.api.served import Served, answer
from inbond.api.tokens import Principal
from inbond.registry.place import ImportedShard, RunState
from inbond.schemas.scalars import Digest, Role

_IMPORTING = only(Role.PRODUCER, Role.AUDITOR, Role.COMPLIANCE)

_DIGEST = "^sha256:[0-9a-f]{64}$"

Identity = Annotated[str, PathParameter(pattern=_DIGEST, description="An import's identity.")]
Inputs = Annotated[
    list[Digest],
    QueryParameter(name="input", min_items=1, max_items=100, description="Digests of files.", schema_extra=each(_DIGEST)),
]


class Imported(msgspec.Struct):
    """The shards of an import that are on record, by ordinal."""

    shards: dict[str, ImportedShard]


class Doubled(msgspec.Struct):
    """Shards in a dataset version that came from any of the files and the teacher that were asked about."""

    shards: list[str]


class RunInputs(msgspec.Struct):
    """How many distinct rows of each shard a run was given."""

    rows: dict[str, int]


@get("/v1/imports/{identity:str}", sync_to_thread=True, **told("get_import", _IMPORTING, tags=("imports",)))
def imported(served: NamedDependency[Served], identity: Identity) -> Response[Imported]:
    """The shards of an import that are on record; none where nobody began it."""
    found = served.place.imported(identity)
    return answer(Imported({str(ordinal): shard for ordinal, shard in found.items()}))


@get("/v1/datasets/{id:str}/doubled", sync_to_thread=True, **told("find_doubled", _IMPORTING, tags=("imports",)))
def doubled(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id, teacher: SomeRef, inputs: Inputs
) -> Response[Doubled]:
    """The shards in a dataset version that came from any of these files and this teacher."""
    dataset = served.thing(who, f"dataset:{id}").ref
    return answer(Doubled(served.place.doubled(dataset, teacher, inputs)))


@get("/v1/runs/{id:str}/state", sync_to_thread=True, **told("get_run_state", MEMBER, tags=("runs",)))
def state(served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id) -> Response[RunState]:
    """A run: its plan's sources, its newest segment, and the entry that closed it."""
    return answer(served.place.run(served.thing(who, f"run:{id}").ref))


@get("/v1/runs/{id:str}/inputs", sync_to_thread=True, **told("get_run_inputs", MEMBER, tags=("runs",)))
def inputs(served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id) -> Response[RunInputs]:
    """How many distinct rows of each shard a run was given."""
    return answer(RunInputs(served.place.inputs(served.thing(who, f"run:{id}").ref)))


ROUTES: tuple[ControllerRouterHandler, ...] = (imported, doubled, state, inputs)
