"""How a dataset version was made of another: an object that its statement names as evidence, canonical JSON of a `Derivation`."""

from inbond.registry.opened import OpenRegistry
from inbond.schemas import canonical
from inbond.schemas.scalars import Closed, Decimal, Label, Ref, Some, Token

MEDIA = "application/vnd.inbond.derivation+json"


class Sample(Closed, frozen=True, kw_only=True, omit_defaults=True):
    """How many rows to keep, or which fraction of them, by lot."""

    seed: int
    rows: int | None = None
    fraction: Decimal | None = None


class Share(Closed, frozen=True, kw_only=True):
    """A split, and which fraction of the rows it gets."""

    split: Token
    fraction: Decimal


class Split(Closed, frozen=True, kw_only=True):
    """How rows are parted by lot: the lowest lots go to the first share."""

    seed: int
    shares: Some[Share]


class Derivation(Closed, frozen=True, kw_only=True, omit_defaults=True):
    """What is done to `source`; the canonical JSON of it is on record."""

    source: Ref
    where: str | None = None
    engine: Label | None = None
    dedup: bool = False
    sample: Sample | None = None
    split: Split | None = None


def derivation_of(registry: OpenRegistry, dataset: str) -> Derivation | None:
    """How a dataset version (by reference) was made of another; None where it was not."""
    for evidence in registry.place.statement(dataset).header.evidence:
        if evidence.media == MEDIA and evidence.stored:
            return canonical.decode(registry.place.object(evidence.digest, dataset), Derivation, what=f"derivation of {dataset}")
    return None
