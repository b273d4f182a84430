"""Withdrawal: rows that nobody may read any more, from a time on. Whom that reaches follows from what is on record."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from inbond.ledger.keys import SigningKey
from inbond.registry.deciding import keep_text
from inbond.registry.impact import Impact
from inbond.registry.listing import ListedShard
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.recorder import Said
from inbond.registry.times import now
from inbond.registry.training.layout import merged
from inbond.registry.words import word
from inbond.schemas.errors import Conflict, InvalidInput, NotPermitted
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Recall, RecallAction, RecallCategory, TargetLine

Rows = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Recalled:
    """A recall on record: the shards and dataset versions that it names, and whom it reaches."""

    recorded: Recorded
    targets: tuple[str, ...]
    effective: str
    impact: Impact


def recall(
    registry: OpenRegistry,
    ref: str,
    *,
    reason: str,
    category: str,
    rows: Rows = (),
    action: str = "stop",
    known: str | None = None,
    effective: str | None = None,
    deadline: str | None = None,
    replacement: str | None = None,
) -> Recalled:
    """Withdraw a shard (or `rows` of it), a dataset version, or every shard of a teacher from `effective` (now) on.

    It is signed by a key of the party that made all of it, or of the operator's compliance. `reason` is kept as an erasable
    object; `known` is since when the reason is known (now). `replacement` is a shard or dataset version to use instead.
    """
    targets = _targets(registry, ref, rows)
    time = now()
    body = Recall(
        targets=registry.place.objects.put_lines(targets),
        category=word(RecallCategory, category, "category"),
        known=known or time,
        effective=effective or time,
        action=word(RecallAction, action, "action"),
        deadline=deadline or UNSET,
        replacement=registry.resolve(replacement, "shard", "dataset") if replacement else UNSET,
    )
    named = tuple(target.object for target in targets)
    keys = _keys(registry, named)
    why = keep_text(registry, reason)
    for key in keys[:-1]:
        try:
            return _recorded(registry, Said("recall", body, [key], why=why), named)
        except NotPermitted:
            continue  # a dataset version may hold another party's shards: compliance may still withdraw it
    return _recorded(registry, Said("recall", body, keys[-1:], why=why), named)


def lift(registry: OpenRegistry, ref: str, *, reason: str) -> Recalled:
    """Take a recall back, with the compliance key: what it named may be read again, as far as no other recall names it."""
    recalled = registry.resolve(ref, "recall")
    newest = registry.thing(recalled).newest
    body = registry.place.statement(newest).body
    if not isinstance(body, Recall) or not body.targets.count:
        raise Conflict(f"{ref} withdraws nothing any more: it was lifted by {newest}")
    time = now()
    lifted = replace(body, targets=registry.place.objects.put_lines([]), known=time, effective=time)
    said = Said("recall", lifted, [registry.owner_key(recalled, Role.COMPLIANCE)], why=keep_text(registry, reason), amends=newest)
    return _recorded(registry, said, ())


def _recorded(registry: OpenRegistry, said: Said, targets: tuple[str, ...]) -> Recalled:
    recorded = registry.recorder.record(said)
    about = recorded.ref if isinstance(said.amends, UnsetType) else said.amends
    return Recalled(recorded, targets, said.body.effective, registry.place.impact(about))


def _targets(registry: OpenRegistry, ref: str, rows: Rows) -> list[TargetLine]:
    found = registry.resolve(ref, "shard", "dataset", "teacher")
    if rows and not found.startswith("shard:"):
        raise InvalidInput(f"expected rows of a shard, found rows of {ref}")
    if bad := [f"{first}:{last}" for first, last in rows if not 0 <= first < last]:
        raise InvalidInput(f"expected rows FIRST:LAST, the last not included, such as 0:100, found {', '.join(bad)}")
    if rows:
        return [TargetLine(object=found, rows=tuple(merged(rows)))]
    if not found.startswith("teacher:"):
        return [TargetLine(object=found)]
    shards = [TargetLine(object=shard.ref) for shard in registry.every(ListedShard, teacher=found)]
    if not shards:
        raise InvalidInput(f"{ref} has no shards on record: expected a teacher with outputs to withdraw")
    return shards


def _keys(registry: OpenRegistry, targets: Sequence[str]) -> list[SigningKey]:
    """The keys at hand that may sign, the owner's before the operator's compliance."""
    owners = {thing.owner for thing in registry.place.things(targets).values()}
    found = []
    for role in (Role.PRODUCER, Role.TRAINER, Role.COMPLIANCE):
        if registry.keys.has(role):
            party = registry.recorder.party_of(registry.keys.role(role))
            if owners == {party} or (role is Role.COMPLIANCE and party == registry.operator):
                found.append(registry.keys.role(role))
    if not found:
        raise NotPermitted(
            f"{', '.join(sorted(targets)[:3])}: expected a key of {' and '.join(sorted(owners))}, which made it, or of the "
            "operator's compliance, found none"
        )
    return found
