"""A shut gate as an error: for each reason what it is about, and the commands that would settle it."""

from collections.abc import Iterator, Mapping
from shlex import quote

from inbond.registry.gate import WITHOUT_IT, Reason, Ruled
from inbond.registry.mentions import called_in, within
from inbond.registry.terms.engine import RULES
from inbond.schemas.errors import PolicyDenied
from inbond.schemas.statements import Verdict

_OPEN = (Verdict.PERMITTED, Verdict.PERMITTED_WITH_OBLIGATIONS)


def mentioned(ruled: Ruled, student: str) -> set[str]:
    """The references that a refusal names."""
    about = {ref for reason in ruled.reasons for ref in (reason.teacher, reason.terms) if ref}
    return {student, *about, *within(reason.text for reason in ruled.reasons)}


def refusal(ruled: Ruled, student: str, called: Mapping[str, str]) -> PolicyDenied:
    """The refusal as an error that names teacher and document, and the commands that would settle it.

    `called` is what people call what is `mentioned`.
    """
    name = called.get(student, student)
    shut = [reason for reason in ruled.reasons if reason.verdict not in _OPEN]
    lines = [_line(reason, called) for reason in shut]
    hints = [hint for reason in shut for hint in _hints(reason, quote(name), called)]
    return PolicyDenied(
        f"{name} may not learn from this ({ruled.verdict.value}): " + "; ".join(dict.fromkeys(lines)),
        hint="\n".join(dict.fromkeys(hints)),
        verdict=ruled.verdict.value,
    )


def _line(reason: Reason, called: Mapping[str, str]) -> str:
    if reason.rule in RULES:
        return f"{called_in(reason.text, called)} ({reason.rule})"
    if reason.rule == "recall-1":
        return reason.text
    under = f" under {called.get(reason.terms, reason.terms)}" if reason.terms else ""
    return f"{called.get(reason.teacher, reason.teacher)}{under}: {reason.text}"


def _hints(reason: Reason, student: str, called: Mapping[str, str]) -> Iterator[str]:
    """The commands for one reason; those of the engine's rules by what its rule leaves open."""
    model, terms = (quote(called.get(ref or "", ref or "")) for ref in (reason.teacher, reason.terms))
    match reason.rule:
        case "recall-1":
            yield WITHOUT_IT
        case "plan-1":
            yield _declare(student)
        case "limit-1" | "limit-2" if reason.rule == "limit-1" or reason.verdict is Verdict.UNDETERMINED:
            yield _operator() if "domicile" in reason.text or "revenue" in reason.text else _declare(student)
            if "whether the weights" in reason.text:
                yield f"inbond decide rule --student {student} --terms {terms} permit --grounds TEXT"
        case "path-1":
            yield _declare(model)
        case "dates-1":
            yield _declare("DATASET")
        case "accept-1":
            yield f"inbond terms accept {terms if reason.terms else 'TERMS'} --means MEANS --accepted YYYY-MM-DD"
        case "read-1":
            yield f"inbond terms fact add {terms} --facts FILE"
        case "grade-1":
            yield f"inbond declare {reason.fact} --facts FILE --correct"
        case "force-2":
            yield f"inbond terms timeline {terms}"
            yield f"inbond declare {terms} --facts FILE --correct    (effective = {{ from = …, to = … }})"
        case "naming-1":
            yield f"inbond student obligations {student}"
        case "clause-2":
            yield f"inbond decide ask --student {student} --terms {terms} --exception --grounds TEXT"
        case "terms-1" | "force-1" | "base-1" | "upstream-1":
            yield f"inbond terms add FILE --teacher {model} --effective YYYY-MM-DD"
        case _ if reason.terms is not None:
            about = f"--student {student} --terms {terms}"
            yield f"inbond decide ask {about} --grounds TEXT"
            yield f"inbond decide rule {about} permit --grounds TEXT"
        case _ if reason.teacher:
            yield f"inbond terms add FILE --teacher {model} --effective YYYY-MM-DD"


def _operator() -> str:
    return "inbond operator set --facts-template > operator.toml, fill it in, and: inbond operator set --facts operator.toml"


def _declare(thing: str) -> str:
    return f"inbond declare {thing} --template > facts.toml, fill it in, and: inbond declare {thing} --facts facts.toml"
