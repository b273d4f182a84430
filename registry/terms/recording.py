"""Readings of clauses, and acceptances, put on record."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from inbond.registry.deciding import keep_text
from inbond.registry.facts import fill
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.words import word
from inbond.schemas.declared import known, not_applicable, unknown
from inbond.schemas.errors import InvalidInput
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Acceptance, AcceptanceMeans, TermsFact


def add_fact(registry: OpenRegistry, terms: str, given: Mapping[str, Any]) -> Recorded:
    """Put a reading of a clause of `terms` on record; `given` as from `facts.load_facts`.

    Facts that name a document (`terms`) must name this one: a reading of another document's clause is refused.
    """
    ref = registry.resolve(terms, "terms")
    stated = dict(given)
    named = stated.pop("terms", None)
    if named is not None and registry.resolve(str(named), "terms") != ref:
        raise InvalidInput(f"terms_fact: expected a reading of a clause of {terms}, found one of {named}")
    body = fill(TermsFact, stated, fixed={"terms": ref}, where="terms_fact", resolve=lambda _, text: registry.resolve(text))
    return registry.record("terms_fact", body, Role.COMPLIANCE)


def accept(
    registry: OpenRegistry,
    terms: str,
    *,
    party: str | None = None,
    means: str = "unknown",
    accepted: str | None = None,
    ended: str | None = None,
    account: str | None = None,
    order_form: bytes | None = None,
) -> Recorded:
    """Put on record that `party` (the operator unless given) is bound by `terms`.

    `account` is kept as an erasable object, `order_form` as a document in the store.
    """
    body = Acceptance(
        terms=registry.resolve(terms, "terms"),
        party=registry.operator if party is None else registry.resolve(party, "party"),
        means=word(AcceptanceMeans, means, "means"),
        accepted=known(accepted) if accepted else unknown(),
        ended=known(ended) if ended else not_applicable(),
        account=known(keep_text(registry, account)) if account else unknown(),
        order_form=UNSET if order_form is None else f"sha256:{registry.place.objects.put_bytes(order_form)}",
    )
    return registry.record("acceptance", body, Role.COMPLIANCE)
