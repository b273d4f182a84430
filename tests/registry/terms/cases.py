"""Documents, teachers and plans to ask the engine about, made from rows of the catalogue."""

from typing import Any

from msgspec.structs import replace as with_

from inbond.registry.terms import shelf
from inbond.registry.terms.bands import Band
from inbond.registry.terms.known import Accepted, Document, Reading
from inbond.registry.terms.question import Base, Evaluation, Plan, Question, Ruling, Use
from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown
from inbond.schemas.scalars import AccessPath
from inbond.schemas.statements import AppliesTo, Grade
from tests.registry.terms.facts import accepting

LAB = "party:" + "a" * 32
MADE = ("2026-10-01", "2026-10-10")
USED = "2026-11-20T12:00:00.000Z"

COMMERCIAL = Plan(
    LAB, name="acme/mini", licence="proprietary", distributed=True, hosted=False, commercial=True, territories=("US",),
    classifier_only=False, mau=1000, revenue=Band(0, 1000), domicile="US",
)  # fmt: skip


def plan(**changes: Any) -> Plan:
    return Plan(**({name: getattr(COMMERCIAL, name) for name in Plan.__slots__} | changes))


INSIDE = plan(distributed=False, commercial=False)
SORTER = plan(distributed=False, commercial=True, classifier_only=True)


def ref(kind: str, name: str) -> str:
    """A reference that stands for a name."""
    return f"{kind}:{name.encode().hex()[:32]:0<32}"


def document(
    id: str, *, starts: str | None = None, ends: str | None = None, grade: Grade | None = Grade.PRIMARY, by: str | None = LAB,
    accepted: str | None = "2020-01-01", ended: str | None = None, **changes: Any,
) -> Document:  # fmt: skip
    """A row bound and read by the operator in full (`grade`; None: as it ships), and accepted by `by` before all."""
    row = shelf.row(id)
    terms = ref("terms", id[::-1])
    readings = [
        Reading(
            ref("terms_fact", f"{at}{id[::-1]}"), with_(each.fact, terms=terms, **({"grade": grade} if grade else {}), **changes)
        )
        for at, each in enumerate(row.facts)
    ]
    begun, over = (known(each) if each else unknown() for each in (accepted, ended))
    bound = accepting(terms, by or LAB, accepted=begun, ended=over)
    return Document(
        terms, ref("party", row.party), row.title, row.version, starts or "2021-01-01", ends, ends is not None,
        (AppliesTo(models=row.models, access_path=row.access_path),), "sha256:" + "0" * 64, tuple(readings),
        (Accepted(ref("acceptance", id[::-1]), bound),) if by else (),
    )  # fmt: skip


def use(*documents: Document | str, **changes: Any) -> Use:
    """A teacher under documents, or rows of the catalogue."""
    found = tuple(document(each) if isinstance(each, str) else each for each in documents)
    name = found[0].title if found else "nobody"
    fields: dict[str, Any] = {
        "teacher": ref("teacher", (name + "".join(each.ref[6:9] for each in found))[::-1]), "name": name,
        "party": found[0].party if found else None, "access_path": AccessPath.API.value, "documents": found, "generated": MADE,
        "bound": LAB,
    }  # fmt: skip
    return Use(**(fields | changes))


def base(*documents: Document | str, **changes: Any) -> Base:
    found = tuple(document(each) if isinstance(each, str) else each for each in documents)
    fields: dict[str, Any] = {"model": ref("teacher", "base"), "name": "base", "documents": found}
    return Base(**(fields | changes))


def asked(*uses: Use, **changes: Any) -> Question:
    fields: dict[str, Any] = {"student": ref("student", "mini"), "plan": COMMERCIAL, "used": USED, "uses": uses}
    return Question(**(fields | changes))


def ruling(document: Document, **changes: Any) -> Ruling:
    fields: dict[str, Any] = {"decision": ref("decision", "d"), "terms": document.ref, "permits": True, "starts": "2026-01-01"}
    return Ruling(**(fields | changes))


def rules(found: Evaluation) -> set[str]:
    """The rules of the reasons that shut the gate."""
    return {each.rule for each in found.reasons if each.verdict is not s.Verdict.PERMITTED}
