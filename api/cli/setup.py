"""Beginning and upkeep: init, demo, doctor."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.home import find_folder
from inbond.api.cli.output import echo, pairs, style
from inbond.api.cli.progress import progress


@command("init", "inbond init warehouse --origin example.org/warehouse")
@click.argument("dir", type=click.Path(path_type=Path))
@click.option("--origin", required=True, metavar="NAME", help="The log's name for ever, such as example.org/warehouse.")
@click.option("--operator", metavar="NAME", help="What people call you who run it (the origin's host unless given).")
@click.option(
    "--database", metavar="URL", help="Keep the ledger in PostgreSQL (postgresql://…), in an empty schema, instead of in DIR."
)
@click.option("--store", metavar="URL", help="Keep objects in an S3 bucket (s3://BUCKET/PREFIX) instead of in DIR.")
@click.option("--admins", type=click.IntRange(1, 15), default=1, metavar="N", help="Make so many admin keys (1 unless given).")
@click.option("--threshold", type=click.IntRange(1, 15), default=1, metavar="K", help="So many of them say what keys may (1).")
def init(
    session: Session,
    dir: Path,
    origin: str,
    operator: str | None,
    database: str | None,
    store: str | None,
    admins: int,
    threshold: int,
) -> None:
    """Make a registry in DIR, with its ledger and your keys.

    There is one key for each role, and commands pick the right one. Publish the genesis hash and policy.txt: outsiders pin
    them. Back up keys/ where only you can read it.
    """
    from inbond.ledger.cosignatures import NO_ML_DSA, ml_dsa_available
    from inbond.registry.registry import Registry

    with Registry.init(dir, origin, operator, database, admins=admins, threshold=threshold, store=store) as registry:
        genesis = registry.place.genesis.hex()
        roles = sorted(path.stem for path in registry.keys.folder.glob("*.key"))
        data = {"folder": str(dir), "origin": origin, "genesis": genesis, "operator": registry.operator, "keys": roles}
        lines = pairs([("registry", f"{origin} in {dir}"), ("keys", roles), ("genesis", genesis)], whole=True)
        session.output.answer(data, lines)
    if not ml_dsa_available():
        session.output.say(f"{NO_ML_DSA}. The log signs with Ed25519 alone; later: inbond key rotate log --kind ml-dsa-44")
    session.output.say(
        f"next: cd {dir}\n      inbond import FORMAT FILE --teacher PARTY/MODEL@VERSION --create      "
        "(formats: inbond import --list)"
    )


@command("demo", "inbond demo demo-registry")
@click.argument("dir", type=click.Path(path_type=Path), default=Path("inbond-demo"))
def demo(session: Session, dir: Path) -> None:
    """Show everything once, on small real models.

    It leaves a registry in DIR (inbond-demo unless given) to play with: a new or empty folder, or that of an earlier demo,
    which is replaced.
    """
    from inbond.api.demo import story

    quiet = session.output.json

    def say(text: str) -> None:
        if not quiet:
            echo(f"{style('●', 'green')} {style(text, bold=True)}")

    def show(text: str) -> None:
        if not quiet:
            echo(f"  {text}")

    ended = story.run(dir, story.Told(say, show, _bars(session)))
    data = {
        "folder": str(ended.folder),
        "records": ended.records,
        "shards": ended.shards,
        "size": ended.size,
        "seconds": round(ended.seconds, 1),
    }
    session.output.say(f"look around: cd {dir}; inbond lineage demo-lab/grandpupil; inbond report list; inbond verify")
    session.output.say(f"serve it: inbond --registry {dir} serve      (or: make serve)")
    session.output.answer(data, [ended.line])


def _bars(session: Session) -> Callable[[str, int], AbstractContextManager[Callable[[int], None]]]:
    @contextmanager
    def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
        done = 0
        with progress(session.output) as tell:

            def move(count: int) -> None:
                nonlocal done
                done += count
                if tell:
                    tell(what, done, total)

            yield move

    return bar


@command("doctor", "inbond doctor\ninbond doctor --remove")
@click.option("--remove", is_flag=True, help="Remove objects older than a day that no entry names.")
@click.pass_context
def doctor(context: click.Context, session: Session, remove: bool) -> None:
    """Check what surrounds the ledger: keys, state, leftovers.

    Whether what is on record is what was signed, `inbond verify` says.
    """
    from inbond.api.cli.health import examine

    found = examine(find_folder(session.registry), remove)
    marks = {"ok": style("ok  ", "green"), "note": style("note", "yellow"), "bad": style("BAD ", "red", bold=True)}
    lines = [f"{marks[item.status]}  {item.what}: {item.text}" for item in found]
    worst = max((item.exit_code for item in found), default=0)
    bad = sum(item.status == "bad" for item in found)
    data = {
        "ok": not bad,
        "checks": [{"status": item.status, "what": item.what, "text": item.text} for item in found],
    }
    last = f"{bad} of {len(found)} checks need you" if bad else f"all {len(found)} checks are fine"
    session.output.answer(data, [*lines, last])
    context.exit(worst)


COMMANDS = (init, demo, doctor)
