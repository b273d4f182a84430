"""Tri-state facts: known, not applicable, or not known, and why.

Unknown is not no. A declared fact is an object with exactly one of three members:
`{"known": value}`, `{"na": reason}` or `{"unknown": reason}`. Reasons are an enumeration, never free text.
"""

from enum import StrEnum
from typing import Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

T = TypeVar("T")


class Reason(StrEnum):
    """Why a fact is not applicable or not known."""

    NOT_DECLARED = "not_declared"
    NOT_RECORDED_BY_SOURCE = "not_recorded_by_source"
    WITHHELD = "withheld"
    LOST = "lost"
    NOT_YET = "not_yet"
    OPEN_ENDED = "open_ended"
    NOT_APPLICABLE_TO_KIND = "not_applicable_to_kind"


class Declared(msgspec.Struct, Generic[T], frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A declared fact; exactly one of the three members is set."""

    known: T | UnsetType = UNSET
    na: Reason | UnsetType = UNSET
    unknown: Reason | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.known is UNSET) + (self.na is UNSET) + (self.unknown is UNSET) == 2:
            return
        given = [name for name in ("known", "na", "unknown") if getattr(self, name) is not UNSET]
        found = "none of them" if not given else " and ".join(given)
        raise ValueError(f"expected exactly one of known, na, unknown, found {found}")

    @property
    def is_known(self) -> bool:
        """Whether the fact has a value."""
        return self.known is not UNSET

    def value_or(self, default: T) -> T:
        """The known value, else `default`."""
        return default if isinstance(self.known, UnsetType) else self.known


def known(value: T) -> Declared[T]:
    """A fact that was declared or measured."""
    return Declared(known=value)


def unknown(reason: Reason = Reason.NOT_DECLARED) -> Declared[T]:
    """A fact that nobody has stated; `reason` says why."""
    return Declared(unknown=reason)


def not_applicable(reason: Reason = Reason.NOT_APPLICABLE_TO_KIND) -> Declared[T]:
    """A fact that cannot exist for this object; `reason` says why."""
    return Declared(na=reason)
