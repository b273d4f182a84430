"""The tables of the ledger's database: database check, upgrade, downgrade."""

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.home import find_folder
from inbond.api.cli.output import pairs, plural
from inbond.api.cli.progress import counting, progress

database = noun("database", "The tables of the ledger's database, after a change of version.", "inbond database check")


@command("check", "inbond database check", of=database)
@click.pass_context
def check(context: click.Context, session: Session) -> None:
    """Compare the tables with those of this version.

    Leaves with 1 where they differ.
    """
    from inbond.registry.upgrading import look

    found = look(find_folder(session.registry))
    fine = found.revision == found.newest and not found.differences
    data = {"revision": found.revision, "newest": found.newest, "differences": found.differences}
    differing = [*found.differences[:10], *(["…"] if len(found.differences) > 10 else [])]
    lines = pairs([("revision", found.revision), ("newest", found.newest), ("differences", differing or "none")], whole=True)
    session.output.answer(data, lines)
    if not fine:
        session.output.say("try: inbond database upgrade")
        context.exit(1)


@command("upgrade", "inbond database upgrade", of=database)
def upgrade(session: Session) -> None:
    """Bring the tables to those of this version.

    The log's own tables are migrated; the catalogue is made again from the entries where its tables differ. Take a backup
    first, and stop the server.
    """
    from inbond.registry.upgrading import upgrade as bring

    with progress(session.output) as tell:
        done = bring(find_folder(session.registry), counting(tell, "reading entries"))
    made = f"made again from {plural(done.rebuilt, 'entry', 'entries')}" if done.rebuilt else "as it should be"
    data = {"before": done.before, "after": done.after, "rebuilt": done.rebuilt}
    session.output.answer(data, pairs([("revision", f"{done.before} → {done.after}"), ("catalogue", made)]))


@command("downgrade", "inbond database downgrade 0001", of=database)
@click.argument("revision")
def downgrade(session: Session, revision: str) -> None:
    """Take the log's tables back to an earlier revision, for an earlier version.

    That version makes its catalogue with: inbond rebuild
    """
    from inbond.registry.upgrading import downgrade as take_back

    done = take_back(find_folder(session.registry), revision)
    data = {"before": done.before, "after": done.after}
    session.output.answer(data, pairs([("revision", f"{done.before} → {done.after}")]))


COMMANDS = (database,)
