"""A report model as one HTML page: no script, no resource from outside, the same bytes each time.

The page is for people on screens and on paper; the model beside it is for machines. Whatever comes from a statement is
escaped, characters that would move or hide text are shown by their code points, and only http(s) addresses become links.
"""

import base64
import hashlib
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from inbond.registry.disclosure.document import Disclosure, Field, Label, Section, State, Table, by_command, decode
from inbond.registry.disclosure.wording import count, day
from inbond.schemas.statement import digest_of

MEDIA = "text/html; charset=utf-8"
_FOLDER = Path(__file__).parent / "templates"
_FILES = ("report.html", "blocks.html", "report.css")
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
_LONG_WORD = 40  # of a column that has room for it on paper
_WEB = re.compile(r"https?://[^\s]+")

LABELS = {
    "proved": ("\u25c6", "checked by cryptography, under a trust policy that you chose"),
    Label.RECORDED.value: ("\u25cf", "the registry's ledger says so: entries about what happened"),
    Label.CLAIMED.value: ("\u25cb", "a party says so, in a signed statement"),
}
STATES = {
    State.FILLED.value: ("\u2713", "filled", "answered from what is on record"),
    State.NOT_APPLICABLE.value: ("\u2013", "not applicable", "the form does not ask for it here"),
    State.NOT_KNOWN.value: ("?", "not known", "it is on record that nobody can say"),
    State.MISSING.value: ("\u25b2", "missing", "a fact is lacking that somebody can still supply"),
}


def html(report: bytes) -> bytes:
    """The page of a report model. Raises InvalidInput for bytes that are none."""
    found = decode(report)
    style = _style(found)
    page = (
        _environment()
        .get_template("report.html")
        .render(
            report=found,
            model=f"sha256:{hashlib.sha256(report).hexdigest()}",
            renderer=renderer_digest(),
            style=Markup(style),
            csp=f"default-src 'none'; style-src 'sha256-{_source_hash(style)}'; base-uri 'none'; form-action 'none'",
            labels=LABELS,
            states=STATES,
            figures=[(field, figure) for section in found.sections for field in section.fields for figure in field.figures],
            draft=draft_words(found),
        )
    )
    return (page.rstrip() + "\n").encode()


def renderer_digest() -> str:
    """The digest of everything that turns a model into a page: this module, its templates, the template engine."""
    return _renderer_digest()


@cache
def _renderer_digest() -> str:
    files = {name: hashlib.sha256((_FOLDER / name).read_bytes()).hexdigest() for name in _FILES}
    code = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return digest_of({"engine": f"jinja2 {jinja2.__version__}", "files": files, "code": code})


def draft_words(report: Disclosure) -> str:
    """What makes a report a draft, in a few words; empty for one that is none."""
    why = [count(report.missing, "fact") + " missing"] if report.missing else []
    if not report.released:
        why.append("the model is not released")
    return f"Draft: {', '.join(why)}" if why else ""


def shown(value: object) -> Markup:
    """Text from a statement, escaped, with what is invisible or turns the writing direction made visible."""
    text = "".join(
        f"\u27e8U+{ord(each):04X}\u27e9" if unicodedata.category(each) in _HIDDEN and each != "\n" else each
        for each in str(value)
    )
    return Markup("<bdi>{}</bdi>").format(text)


def in_words(command: str) -> Markup:
    """A command that breaks between words only, not behind the hyphens of an option; a very long word may break anywhere."""
    kept = Markup('<span class="word">{}</span>')
    return Markup(" ").join(kept.format(shown(word)) if len(word) <= _LONG_WORD else shown(word) for word in command.split(" "))


def figure(value: object) -> str:
    """A number with its thousands apart."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def linked(text: str, url: object) -> Markup:
    """Text that leads to an address on the web; other addresses are printed, not linked."""
    if not isinstance(url, str):
        return shown(text)
    if _WEB.fullmatch(url):
        return Markup('<a href="{}" rel="noreferrer noopener">{}</a>').format(url, shown(text))
    return Markup("{} ({})").format(shown(text), shown(url))


def numbered(item: Field | Section) -> bool:
    """Whether the form numbers a field or section; other ids are ours."""
    return any(each.isdigit() for each in item.id) and item.id != "0"


def titled(section: Section) -> str:
    """A section's title with its number where it has one."""
    return f"{section.id} {section.title}" if numbered(section) else section.title


def has_table(field: Field) -> bool:
    """Whether a field needs the whole width."""
    return any(isinstance(block, Table) for block in field.blocks)


def entries(item: Any) -> str:
    """The entries of evidence or of a figure, in words."""
    listed = ", ".join(map(str, item.entries))
    more = item.count - len(item.entries)
    return f"{'entry' if item.count == 1 else 'entries'} {listed}" + (f" and {more:,} more" if more else "")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters.update(
        shown=shown,
        in_words=in_words,
        by_command=by_command,
        figure=figure,
        numbered=numbered,
        titled=titled,
        has_table=has_table,
        linked=linked,
        entries=entries,
        day=day,
        anchor=_anchor,
    )
    return made


def _anchor(id: str) -> str:
    return "f-" + re.sub(r"[^0-9A-Za-z]+", "-", id).strip("-")


def _style(report: Disclosure) -> str:
    """The style sheet, with what stands in the margins of printed pages."""
    left = f"{report.student.name} \u00b7 {report.origin} \u00b7 ledger size {report.tree_size}"
    margins = (
        f"@page {{ @bottom-left {{ content: {_css_string(left)}; }} "
        f"@top-right {{ content: {_css_string(draft_words(report))}; }} }}\n"
    )
    return "\n" + (_FOLDER / "report.css").read_text() + margins


def _css_string(text: str) -> str:
    """A string of CSS in which only letters, digits and spaces stand as they are: nothing in it can end it."""
    short = text if len(text) <= 90 else text[:89] + "\u2026"
    return '"' + "".join(c if (c.isascii() and c.isalnum()) or c == " " else f"\\{ord(c):06x} " for c in short) + '"'


def _source_hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
