"""Who and what: party, teacher, terms, student."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.dates import expect_date
from inbond.api.cli.details import as_of_option, asked, listed, shown
from inbond.api.cli.output import facts as fact_lines
from inbond.api.cli.output import pairs, samples_of, table, when

if TYPE_CHECKING:
    from inbond.registry.place import Recorded

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
RELATIONS = ("finetune", "adapter", "merge", "quantized", "continued")
_FROM = f"A model whose weights it starts from; RELATION is {', '.join(RELATIONS[:-1])} or {RELATIONS[-1]} (finetune)."
PATHS = ("api", "weights", "router", "app", "unknown")

party = noun("party", "Parties: providers, vendors, routers, contractors, you.", "inbond party list")
teacher = noun("teacher", "Teachers: models whose outputs train others.", "inbond teacher list")
terms = noun("terms", "Terms: dated, archived texts that govern outputs.", "inbond terms list")
student = noun("student", "Students: models that are trained on outputs.", "inbond student list")


def facts_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option --facts: a TOML file of declared facts."""
    help = "Declared facts; what it leaves out is recorded as not known."
    return click.option("--facts", type=FILE, metavar="TOML", help=help)(function)


# -- parties ---------------------------------------------------------------------------------------------------------------


@command("add", "inbond party add openai", of=party)
@click.argument("name")
@facts_options
def add_party(session: Session, name: str, facts: Path | None) -> None:
    """Put a party on record, called NAME."""
    given = _load(facts)
    with session.open() as registry:
        _recorded(session, "party", name, registry.add_party(name, given))


@command("list", "inbond party list", of=party)
def list_parties(session: Session) -> None:
    """List parties."""
    from inbond.registry.listing import ListedParty

    with session.open() as registry:
        found = listed(registry, ListedParty)
    rows = [(item.name, item.teachers, item.entry, item.ref.partition(":")[2]) for item in found]
    session.output.answer({"parties": found}, table(("party", "teachers", "entry", "id"), rows, empty="no parties"))


# -- teachers --------------------------------------------------------------------------------------------------------------


@command("add", "inbond teacher add openai/gpt-4o@2024-05-13 --create --access-path api", of=teacher)
@click.argument("name", metavar="PARTY/MODEL@VERSION")
@click.option("--create", is_flag=True, help="Put the party on record too where it is missing.")
@click.option("--same-as", metavar="STUDENT", help="The student of this registry that became this teacher.")
@click.option("--access-path", type=click.Choice(PATHS), help="How its outputs are obtained (not known unless given).")
@facts_options
def add_teacher(
    session: Session, name: str, create: bool, same_as: str | None, access_path: str | None, facts: Path | None
) -> None:
    """Put a teacher on record."""
    given = _load(facts)
    if access_path is not None:
        given["access_path"] = access_path
    with session.open() as registry:
        _recorded(session, "teacher", name, registry.add_teacher(name, facts=given, create=create, same_as=same_as))


@command("list", "inbond teacher list", of=teacher)
def list_teachers(session: Session) -> None:
    """List teachers, their records and the terms that apply."""
    from inbond.registry.listing import ListedTeacher

    with session.open() as registry:
        found = listed(registry, ListedTeacher)
    rows = [
        (item.name, item.access_path or "not known", item.shards, item.records, item.terms or "none on record") for item in found
    ]
    empty = "no teachers yet: inbond teacher add PARTY/MODEL@VERSION --create"
    session.output.answer({"teachers": found}, table(("teacher", "path", "shards", "records", "terms"), rows, empty=empty))


@command("show", "inbond teacher show openai/gpt-4o", of=teacher)
@click.argument("name", metavar="TEACHER")
def show_teacher(session: Session, name: str) -> None:
    """Show a teacher: declared facts, imports, terms."""
    from inbond.registry.listing import ListedTeacher

    def more(ref: str, registry: Any) -> tuple[dict[str, Any], list[str]]:
        [item] = listed(registry, ListedTeacher, ref=ref)
        data = {"shards": item.shards, "records": item.records, "terms": item.terms}
        return data, pairs([("records", item.records), ("shards", item.shards), ("terms", item.terms or "none on record")])

    _show(session, name, "teacher", more)


# -- terms -----------------------------------------------------------------------------------------------------------------


@command(
    "add",
    """inbond terms add terms.html --teacher openai/gpt-4o --effective 2024-01-31
    inbond terms add terms.html --party openai --model 'gpt-*' --effective 2024-01-31
    inbond terms add --from-catalogue openai-services-2026-01-01 --text terms.html""",
    of=terms,
)
@click.argument("file", type=FILE, required=False)
@click.option(
    "--from-catalogue", "row", metavar="ID", help="A row of `inbond terms catalogue`, with its readings, bound to --text."
)
@click.option("--text", type=FILE, metavar="FILE", help="With --from-catalogue: your own copy of the document.")
@click.option("--teacher", metavar="TEACHER", help="A teacher whose outputs they govern; gives party, model and access path.")
@click.option("--effective", callback=expect_date, metavar="DATE", help="The day from which they are in force, YYYY-MM-DD.")
@click.option(
    "--until", callback=expect_date, metavar="DATE", help="The day until which they are in force (not known unless given)."
)
@click.option("--title", metavar="TEXT", help="What people call the document (the file's stem unless given).")
@click.option("--version", metavar="TEXT", help="Which version it is (the date unless given).")
@click.option("--party", metavar="PARTY", help="Whose terms they are (the teacher's party unless given).")
@click.option("--model", "models", multiple=True, metavar="PATTERN", help="Models they govern; * stands for any characters.")
@click.option("--access-path", type=click.Choice(PATHS), help="The way of access they govern (the teacher's unless given).")
@click.option("--language", default="en", metavar="TAG", help="The text's language (en).")
@facts_options
def add_terms(
    session: Session,
    file: Path | None,
    row: str | None,
    text: Path | None,
    teacher: str | None,
    effective: str | None,
    until: str | None,
    title: str | None,
    version: str | None,
    party: str | None,
    models: tuple[str, ...],
    access_path: str | None,
    language: str,
    facts: Path | None,
) -> None:
    """Archive a text of terms, in force from a day on.

    They apply to every teacher of that party whose model and access path fit; a path that is not known fits any.
    """
    if row is not None:
        if text is None or file is not None:
            raise click.UsageError("Expected --text FILE beside --from-catalogue ID.")
        return _bind(session, row, text, party=party, effective=effective, models=models, access_path=access_path)
    if file is None or effective is None or text is not None:
        raise click.UsageError("Expected FILE and --effective DATE, or --from-catalogue ID with --text FILE.")
    if teacher is None and party is None:
        raise click.UsageError("Expected --teacher TEACHER or --party PARTY: whose terms are these?")
    from inbond.registry.catalogue import scope_of

    given = _load(facts)
    if until is not None:
        given["effective_to"] = until
    with session.open() as registry:
        scope: dict[str, Any] = scope_of(registry, teacher, party) if teacher else {"models": ("*",), "access_path": "unknown"}
        own = {"party": party, "models": models, "access_path": access_path}
        scope.update({name: value for name, value in own.items() if value})
        label = title or file.stem
        recorded = registry.add_terms(
            file.read_bytes(), title=label, effective=effective, version=version, language=language, facts=given, **scope
        )
        name = f"{label}@{version or effective}"
    applies = {"models": list(scope["models"]), "access_path": scope["access_path"]}
    lines = pairs([("terms", name), ("entry", recorded.seq), ("models", scope["models"]), ("access path", scope["access_path"])])
    session.output.answer({"ref": recorded.ref, "entry": recorded.seq, "name": name, **applies}, lines)


@command("list", "inbond terms list\ninbond terms list --in-force 2026-06-01 --as-of 40", of=terms)
@click.option("--in-force", callback=expect_date, metavar="DATE", help="Only what was in force then.")
@as_of_option
def list_terms(session: Session, in_force: str | None, as_of: int | None) -> None:
    """List documents of terms, what they apply to, and when they are in force."""
    from inbond.registry.listing import ListedTerms

    with session.open() as registry:
        found = listed(registry, ListedTerms, **asked(in_force=in_force, as_of=as_of))
    rows = [
        (item.name, item.party, item.models, item.access_paths, item.starts, item.ends or "open", item.entry) for item in found
    ]
    empty = "no terms yet: inbond terms add FILE --teacher TEACHER --effective DATE"
    session.output.answer(
        {"terms": found}, table(("terms", "party", "models", "path", "from", "until", "entry"), rows, empty=empty)
    )


@command("show", "inbond terms show openai-terms\ninbond terms show openai-terms --text", of=terms)
@click.argument("name", metavar="TERMS")
@click.option("--text", is_flag=True, help="Print the archived text, verified, and nothing else.")
def show_terms(session: Session, name: str, text: bool) -> None:
    """Show a document of terms, or its text."""
    if not text:
        return _show(session, name, "terms")
    with session.open() as registry:
        detail = shown(registry, registry.resolve(name, "terms"))
        archived = registry.place.object(detail.body["text"], detail.ref).decode(errors="backslashreplace")
    session.output.answer({**detail.data(), "text": archived}, archived.splitlines())


# -- students --------------------------------------------------------------------------------------------------------------


@command("add", "inbond student add acme/mini\ninbond student add acme/mini@2 --from meta/llama-3-8b", of=student)
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--from", "origins", multiple=True, metavar="MODEL[:RELATION]", help=_FROM)
@facts_options
def add_student(session: Session, name: str, origins: tuple[str, ...], facts: Path | None) -> None:
    """Put a student on record: a model that is to learn.

    Its version is 1 unless given. A base model that --from names is first put on record with `inbond teacher add`.
    """
    given = _load(facts)
    with session.open() as registry:
        recorded = registry.add_student(name, initialised_from=origins, facts=given)
        _recorded(session, "student", name if "@" in name else f"{name}@1", recorded)


@command("list", "inbond student list", of=student)
def list_students(session: Session) -> None:
    """List students."""
    from inbond.registry.listing import ListedStudent

    with session.open() as registry:
        found = listed(registry, ListedStudent)
    rows = [(item.name, item.runs, item.releases, item.entry, item.ref.partition(":")[2]) for item in found]
    empty = "no students yet: inbond student add NAME"
    session.output.answer({"students": found}, table(("student", "runs", "releases", "entry", "id"), rows, empty=empty))


@command("show", "inbond student show acme/mini", of=student)
@click.argument("name", metavar="STUDENT")
def show_student(session: Session, name: str) -> None:
    """Show a student: declared facts, runs, rulings."""
    from inbond.registry.listing import ListedDecision, ListedRun

    def more(ref: str, registry: Any) -> tuple[dict[str, Any], list[str]]:
        called = registry.thing(ref).name
        runs = listed(registry, ListedRun, student=ref)
        ruled = sorted(listed(registry, ListedDecision, student=ref), key=lambda item: item.ruling is not None)
        rows = [(run.name, run.datasets, samples_of(run), run.outcome or "open") for run in runs]
        about = [([each for each in item.subjects if each != called], item.ruling or "open", item.entry) for item in ruled]
        lines = [
            *table(("run", "datasets", "samples", "state"), rows, empty="no runs"),
            "",
            *table(("terms", "ruling", "asked in"), about, empty="no decisions"),
        ]
        return {"runs": runs, "decisions": ruled}, lines

    _show(session, name, "student", more)


@command("release", "inbond student release acme/mini model.safetensors --channel hub", of=student)
@click.argument("name", metavar="STUDENT")
@click.argument("weights", type=FILE)
@click.option("--run", "runs", multiple=True, metavar="RUN", help="A run it came from (all closed ones unless given).")
@click.option("--channel", "channels", multiple=True, metavar="NAME", help="A channel on which it was released.")
@click.option("--released", callback=expect_date, metavar="DATE", help="When, a day or an instant (now unless given).")
@facts_options
def release(
    session: Session,
    name: str,
    weights: Path,
    runs: tuple[str, ...],
    channels: tuple[str, ...],
    released: str | None,
    facts: Path | None,
) -> None:
    """Put a release of a student's weights on record.

    The file WEIGHTS is hashed, not kept.
    """
    from inbond.registry.terms import releasing

    given = _load(facts)
    with session.open() as registry:
        recorded = registry.release(name, weights, runs=runs, channels=channels, released=released, facts=given)
        body: Any = registry.place.statement(recorded.ref).body
        clashing = releasing.clashes_of(registry, body)
    _recorded(session, "release", f"of {name}", recorded)
    for each in clashing:
        session.output.say(f"clash: {each}")
    verdict = body.policy.known.verdict.value if body.policy.is_known else "permitted"
    if verdict != "permitted":
        session.output.say(f"by the terms on record: {verdict.replace('_', ' ')}: inbond student obligations {name}")


# -- shared ----------------------------------------------------------------------------------------------------------------


def _bind(session: Session, id: str, text: Path, **options: Any) -> None:
    """Bind a row of the catalogue to the operator's own copy of its document; `options` as `shelf.bind` takes them."""
    from inbond.registry.terms import shelf

    with session.open() as registry:
        bound = shelf.bind(registry, id, text.read_bytes(), **options)
    grade = shelf.row(id).grade
    data = {"ref": bound.terms, "name": bound.name, "facts": [each.ref for each in bound.facts], "grade": grade}
    lines = pairs([("terms", bound.name), ("readings", len(bound.facts)), ("grade", grade), ("this is", shelf.ADVICE)])
    session.output.answer(data, lines)
    if grade not in ("P", "F"):
        session.output.say("nobody has read them in your copy: do, then inbond declare FACT --facts TOML --correct")


def _load(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    from inbond.registry.facts import load_facts

    return load_facts(path)


def _recorded(session: Session, kind: str, name: str, recorded: "Recorded") -> None:
    data = {"ref": recorded.ref, "entry": recorded.seq, "name": name}
    session.output.answer(data, [f"{kind} {name} on record in entry {recorded.seq}"])


def _show(
    session: Session, name: str, kind: str, more: Callable[[str, Any], tuple[dict[str, Any], list[str]]] | None = None
) -> None:
    with session.open() as registry:
        ref = registry.resolve(name, kind)
        detail = shown(registry, ref)
        data, lines = more(ref, registry) if more else ({}, [])
    head = [(kind, detail.name), ("ref", ref), ("entry", f"{detail.entry} of {when(detail.time)}")]
    session.output.answer(
        {**detail.data(), **data},
        [*pairs(head), "", *fact_lines(detail.body, detail.called), *(["", *lines] if lines else [])],
    )


COMMANDS = (party, teacher, terms, student)
