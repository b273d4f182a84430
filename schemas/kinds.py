"""The kinds of statements: the bodies of each, who may sign it, and what its subject is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec

from inbond.schemas import statements as s
from inbond.schemas.errors import InvalidInput
from inbond.schemas.scalars import Role

RUN: Final = "run"
"""What stands beside the roles for the key of a run; no key statement gives it."""

ANYONE: Final = frozenset[str](Role) - {Role.LOG}
"""Every role that signs statements; a log key signs nothing but checkpoints."""


@dataclass(frozen=True)
class Kind:
    """A kind of statement.

    `roles` holds the roles of which the signer's key needs one; where they differ between bodies, `roles_of` narrows
    them. Further signatures (a threshold of admins, an enrolled key, a run's key on its opening) and ownership are
    matters of admission. `subject` gives the digest of the object that a body is about, or is None where the subject is
    the statement's own predicate.
    """

    name: str
    bodies: tuple[type[msgspec.Struct], ...]
    roles: frozenset[str]
    subject: Callable[[Any], str] | None = None
    narrower: Mapping[type[msgspec.Struct], frozenset[str]] = field(default_factory=dict)

    @property
    def predicate_type(self) -> str:
        """The in-toto predicate type."""
        return f"urn:inbond:{self.name}:v1"

    def roles_of(self, body: msgspec.Struct) -> frozenset[str]:
        """The roles of which the signer of `body` needs one."""
        return self.narrower.get(type(body), self.roles)


def kind_of(name: str) -> Kind:
    """The kind called `name`; InvalidInput when there is none."""
    kind = KINDS.get(name)
    if kind is None:
        raise InvalidInput(f"expected a kind of statement ({', '.join(KINDS)}), found {name!r}")
    return kind


def _kind(
    name: str,
    bodies: type[msgspec.Struct] | tuple[type[msgspec.Struct], ...],
    *roles: str,
    subject: Callable[[Any], str] | None = None,
    narrower: Mapping[type[msgspec.Struct], frozenset[str]] | None = None,
) -> tuple[str, Kind]:
    return name, Kind(name, bodies if isinstance(bodies, tuple) else (bodies,), frozenset(roles), subject, narrower or {})


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    dict(
        [
            _kind("genesis", s.Genesis, Role.ADMIN),
            _kind("key", s.Key, Role.ADMIN),
            _kind("party", s.Party, Role.COMPLIANCE),
            _kind("operator", s.Operator, Role.COMPLIANCE),
            _kind("terms", s.Terms, Role.COMPLIANCE),
            _kind("terms_fact", s.TermsFact, Role.COMPLIANCE),
            _kind("acceptance", s.Acceptance, Role.COMPLIANCE),
            _kind("teacher", s.Teacher, Role.PRODUCER),
            _kind("source", s.Source, Role.PRODUCER),
            _kind("shard", s.Shard, Role.PRODUCER, subject=lambda body: body.file),
            _kind("dataset", s.Dataset, Role.PRODUCER, subject=lambda body: body.parts.digest),
            _kind("student", s.Student, Role.TRAINER),
            _kind("run", (s.RunOpen, s.RunClose), Role.TRAINER),
            _kind("live_use", s.LiveUse, Role.TRAINER),
            _kind("grant", s.Grant, Role.REGISTRY, subject=lambda body: body.parts.digest),
            _kind("consume", s.Consume, RUN),
            _kind("delivery", s.Delivery, Role.REGISTRY),
            _kind("release", s.Release, Role.TRAINER, subject=lambda body: body.weights),
            _kind(
                "decision",
                (s.DecisionAsk, s.DecisionRule),
                *ANYONE,
                narrower={s.DecisionRule: frozenset({Role.COMPLIANCE})},
            ),
            # The owner of the objects, who made them as producer or trainer, or compliance.
            _kind(
                "recall",
                s.Recall,
                Role.PRODUCER,
                Role.TRAINER,
                Role.COMPLIANCE,
                subject=lambda body: body.targets.digest,
            ),
            _kind("ack", s.Ack, *ANYONE),
            _kind(
                "erasure",
                s.Erasure,
                Role.PRODUCER,
                Role.TRAINER,
                Role.COMPLIANCE,
                subject=lambda body: body.targets.digest,
            ),
            _kind("report", s.Report, Role.COMPLIANCE, subject=lambda body: body.model),
        ]
    )
)
"""Every kind, by name."""
