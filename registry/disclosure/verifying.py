"""Verifying a report file: it is the one that was signed, and the ledger gives every figure in it again.

What is found to differ is said by field. The statement is proved against the log first; then the model is computed again at
the report's size and compared, and the page made again from it and compared byte by byte. On a server the computing is the
server's; an auditor who wants none of its word keeps a copy of the log.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inbond.registry.disclosure.document import Disclosure, decode, plain
from inbond.registry.disclosure.recording import commitments, digest
from inbond.registry.disclosure.rendering import html, renderer_digest
from inbond.registry.listing import ListedReport
from inbond.registry.lists import ReportOptions
from inbond.registry.opened import OpenRegistry
from inbond.schemas import canonical
from inbond.schemas.errors import InbondError, InvalidInput, NotFound, VerificationError
from inbond.schemas.statements import Report

_MODEL = re.compile(rb'<meta name="inbond-model" content="(sha256:[0-9a-f]{64})">')


@dataclass
class Verified:
    """A report that was verified: `proved` here, `recorded` on a server's word, `unchecked` is what could not be compared."""

    ref: str
    entry: int
    report: Disclosure
    latest: bool
    proved: list[str] = field(default_factory=list)
    recorded: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Proved or inconclusive; what differs is raised."""
        return "inconclusive" if self.unchecked else "proved"


def verify(registry: OpenRegistry, file: Path) -> Verified:
    """Verify a report's JSON or HTML file. Raises VerificationError, naming the first difference, NotFound, InvalidInput."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise NotFound(f"{file}: {error.strerror}") from None
    is_page = data.lstrip()[:1] == b"<"
    if is_page and (named := _MODEL.search(data)) is None:
        raise InvalidInput(f"{file}: expected a report of inbond, as JSON or HTML, found another page")
    model = named[1].decode() if is_page and named else digest(data)
    ref = _find(registry, model)
    if ref is None:
        raise _unknown(registry, file, data, model, is_page)
    made = registry.place.statement(ref)
    body: Report = made.body
    stored = registry.place.object(body.model, ref)
    report = decode(stored)
    listed = [each for each in registry.every(ListedReport, student=report.student.ref) if each.supersedes == ref]
    found = Verified(ref, registry.thing(ref).entry, report, latest=not listed)
    party = registry.called([made.header.asserted_by.party])[made.header.asserted_by.party]
    found.proved.append(f"the statement is entry {found.entry} of {registry.origin}, signed by a compliance key of {party}")
    if is_page and digest(data) not in {each.digest for each in body.renderings}:
        raise VerificationError(f"{file}: expected the page that was signed; {_first_line(html(stored), data)}", report=ref)
    found.proved.append("the file has the digest that was signed")
    _compare_model(registry, ref, body, stored, report)
    figures = sum(len(each.figures) for each in report.fields().values())
    again = f"{figures} figures and {len(report.fields())} fields, computed again from the first {body.tree_size} entries"
    if registry.is_local:
        found.proved.append(again)
    else:  # a server's word, however well it fits
        found.recorded.append(f"{again} by {registry.place.address}, not here: ask it for an export to compute them yourself")
    _compare_page(body, stored, found)
    _compare_parts(registry, ref, body, stored, report, found)
    return found


def _find(registry: OpenRegistry, model: str) -> str | None:
    try:
        return registry.resolve(model, "report")
    except NotFound:
        return None


def _compare_model(registry: OpenRegistry, ref: str, body: Report, stored: bytes, report: Disclosure) -> None:
    """The model that was signed is the one that the ledger gives."""
    options = canonical.decode(registry.place.object(body.options, ref), ReportOptions, what=f"options of {ref}")
    again = registry.place.report_model(options.student, body.template.id, {"profile": options.profile}, int(body.tree_size))
    if again != stored:
        raise VerificationError(f"{ref}: {first_difference(decode(again), report)}", report=ref)


def _compare_page(body: Report, stored: bytes, found: Verified) -> None:
    """The page that was signed is the one that the model gives, under the renderer that made it."""
    if body.renderer != renderer_digest():
        found.unchecked.append(
            f"the page was made by another renderer ({body.renderer[:19]}…): its bytes cannot be made again here"
        )
    elif (made := digest(html(stored))) not in {each.digest for each in body.renderings}:
        raise VerificationError(f"{found.ref}: expected a page {body.renderings[0].digest} from its model, found {made}")
    else:
        found.proved.append("the page is what the model gives, byte by byte")


def _compare_parts(registry: OpenRegistry, ref: str, body: Report, stored: bytes, report: Disclosure, found: Verified) -> None:
    """Gaps and commitments are those of the model."""
    gaps = registry.place.lines(body.gaps, ref)
    if gaps != plain(report)["gaps"]:
        raise VerificationError(f"{ref}: expected the {len(report.gaps)} gaps of its model on record, found others")
    try:
        salts = canonical.decode(registry.place.object(body.salts_custody, ref), what=f"salts of {ref}")["salts"]
    except InbondError as error:  # whoever keeps them elsewhere, or keeps them from this caller, may
        found.unchecked.append(f"commitments to single fields: {error.message}")
        return
    stated = canonical.decode(registry.place.object(body.commitments, ref), what=f"commitments of {ref}")
    if stated != commitments(stored, report, {id: bytes.fromhex(salt) for id, salt in salts.items()}):
        raise VerificationError(f"{ref}: expected commitments to the fields of its model, found others")
    found.proved.append(f"commitments to {len(report.fields())} single fields")


def _unknown(registry: OpenRegistry, file: Path, data: bytes, model: str, is_page: bool) -> InbondError:
    """What to say of a file that no report on record has: where it differs from what the ledger gives."""
    if is_page:
        return VerificationError(f"{file}: it names the model {model}: expected a report on record with this model, found none")
    try:
        report = decode(data)
    except InvalidInput as error:
        return InvalidInput(f"{file}: expected a report of inbond, as JSON or HTML: {error.message}")
    if report.origin != registry.origin:
        return VerificationError(f"{file}: expected a report from {registry.origin}, found one from {report.origin}")
    size = int(registry.place.head().size)
    if not 0 < report.tree_size <= size:
        return VerificationError(f"{file}: tree_size: expected a size from 1 to {size}, found {report.tree_size}")
    try:
        options = {"profile": report.profile.value}
        again = registry.place.report_model(report.student.ref, report.template.id, options, report.tree_size)
    except NotFound as error:
        return VerificationError(f"{file}: expected a report about what is on record: {error.message}")
    if again == data:
        return NotFound(f"{file}: the ledger gives every figure in it, but no report on record has these bytes: nobody signed it")
    return VerificationError(f"{file}: {first_difference(decode(again), report)}")


def first_difference(expected: Disclosure, found: Disclosure) -> str:
    """The first difference between two models: fields first, in the form's order, then everything else."""
    theirs, ours = found.fields(), expected.fields()
    for id, own in ours.items():
        if id not in theirs:
            return f"field {id}: expected it, found none"
        for path, want, have in _differences(
            canonical.decode(canonical.encode(own)), canonical.decode(canonical.encode(theirs[id]))
        ):
            return f"field {id}, {path}: expected {_short(want)}, found {_short(have)}"
    for path, want, have in _differences(plain(expected), plain(found)):
        return f"{path}: expected {_short(want)}, found {_short(have)}"
    return "no difference"


def _differences(want: Any, have: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(want, dict) and isinstance(have, dict):
        for name in sorted({*want, *have}):
            inner = f"{path}.{name}" if path else name
            yield from _differences(want.get(name), have.get(name), inner)
    elif isinstance(want, list) and isinstance(have, list) and len(want) == len(have):
        for at, (one, other) in enumerate(zip(want, have, strict=True)):
            named = one.get("name") if isinstance(one, dict) else None
            yield from _differences(one, other, f"{path}[{named if isinstance(named, str) else at}]")
    elif want != have:
        yield path, want, have


def _first_line(expected: bytes, found: bytes) -> str:
    """Where two pages begin to differ."""
    ours, theirs = expected.splitlines(), found.splitlines()
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if one != other:
            at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
            start = max(0, at - 20)
            return f"line {number}: expected {_short(one[start:])}, found {_short(other[start:])}"
    return f"expected {len(ours)} lines, found {len(theirs)}"


def _short(value: Any) -> str:
    text = (
        value.decode(errors="backslashreplace") if isinstance(value, bytes) else value if isinstance(value, str) else repr(value)
    )
    return repr(text if len(text) <= 80 else text[:79] + "…") if isinstance(value, str | bytes) else text[:80]
