"""What each type of condition needs beside its name, so that a rule can evaluate it.

A condition's parameters are settings by name. Every type may say to whom it `attaches`: to a model trained on outputs
(`outputs`, unless given), only to one that carries the weights or counts as their derivative (`weights`), or to the first
arguably (`arguable`). Lists of territories are codes with spaces between. A parameter that no rule can compare with a plan
would be a limit that nothing breaks, so it is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from inbond.schemas.errors import InvalidInput
from inbond.schemas.scalars import Modality, Territory, Time
from inbond.schemas.statements import Condition, ConditionType

ATTACHES = ("outputs", "weights", "arguable")


@dataclass(frozen=True, slots=True)
class Shape:
    """The parameters of a type of condition: those that it needs, and those that it may have, with their types."""

    needs: Mapping[str, type]
    may_have: Mapping[str, type]


_THRESHOLDS: Mapping[str, type] = {"above_mau": int, "above_usd_month": int}

SHAPES: Mapping[ConditionType, Shape] = {
    ConditionType.NAME_PREFIX: Shape({"prefix": str}, {}),
    ConditionType.DISPLAY_NOTICE: Shape({"notice": str}, {"or": str, **_THRESHOLDS}),
    ConditionType.LICENCE_COPY: Shape({}, {}),
    ConditionType.NOTICE_FILE: Shape({}, {}),
    ConditionType.USE_RESTRICTION_FLOWDOWN: Shape({}, {}),
    ConditionType.MAU_THRESHOLD: Shape({"mau": int}, {"measured_on": str}),
    ConditionType.REVENUE_THRESHOLD: Shape({"usd": int, "period": str}, {"service": str}),
    ConditionType.TERRITORY_EXCLUSION: Shape({"territories": str, "of": str}, {"modality": str}),
    ConditionType.NON_DISTRIBUTION: Shape({}, {}),
    ConditionType.LABEL_AI_GENERATED: Shape({}, {}),
    ConditionType.PRIOR_AUTHORISATION: Shape({}, {}),
    ConditionType.ORDER_FORM: Shape({}, {}),
    ConditionType.NON_COMMERCIAL: Shape({}, {}),
    ConditionType.LITIGATION_TERMINATION: Shape({}, {"against": str}),
    ConditionType.TRADEMARK_LIMIT: Shape({}, {"mark": str}),
    ConditionType.OTHER: Shape({"what": str}, {}),
}
_WORDS: Mapping[str, tuple[str, ...]] = {
    "of": ("licensee", "territory"), "period": ("month", "year"), "attaches": ATTACHES, "modality": tuple(Modality),
}  # fmt: skip


def check_conditions(conditions: Iterable[Condition], where: str = "terms_fact") -> None:
    """Raise InvalidInput for a condition that lacks a parameter, has one that it cannot have, or one of another type."""
    for condition in conditions:
        shape = SHAPES[condition.type]
        known = {**shape.needs, **shape.may_have, "attaches": str}
        found = condition.parameters
        if missing := sorted(shape.needs.keys() - found.keys()):
            raise InvalidInput(f"{where}: condition {condition.type}: expected parameter {', '.join(missing)}, found none")
        for name, value in found.items():
            if name not in known:
                raise InvalidInput(f"{where}: condition {condition.type}: expected parameters {', '.join(known)}, found {name!r}")
            if not isinstance(value, known[name]) or isinstance(value, bool):
                raise InvalidInput(
                    f"{where}: condition {condition.type}: expected {name} as {known[name].__name__}, found {value!r}"
                )
            if name in _WORDS and value not in _WORDS[name]:
                raise InvalidInput(
                    f"{where}: condition {condition.type}: expected {name} of {', '.join(_WORDS[name])}, found {value!r}"
                )
            if expected := _unlike(name, value):
                raise InvalidInput(f"{where}: condition {condition.type}: expected {name} as {expected}, found {value!r}")


def _unlike(name: str, value: Any) -> str | None:
    """What a parameter was expected to be, None where it is that."""
    if isinstance(value, int):
        return "a number of at least 0" if value < 0 else None
    if not value.strip():
        return "text, not empty"
    if name == "territories" and not all(map(_is(Territory), value.split())):
        return "codes of ISO 3166, or EU, with spaces between, such as EU GB US-CA"
    if name == "measured_on" and not _is(Time)(value):
        return "a day, such as 2026-01-31"
    return None


def _is(form: Any) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        try:
            msgspec.convert(text, form)
        except msgspec.ValidationError:
            return False
        return True

    return fits
