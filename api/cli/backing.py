"""Backups: backup (take one, or bring one up to date), restore (make a registry of one)."""

from pathlib import Path

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.output import pairs, plural
from inbond.api.cli.progress import progress


@command("backup", "inbond backup /backups/warehouse\ninbond backup /backups/warehouse --keys")
@click.argument("dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--keys", is_flag=True, help="The keys too: whoever reads the backup can then sign as you.")
def backup(session: Session, dir: Path, keys: bool) -> None:
    """Write the registry to DIR, while it is in use.

    The same DIR again is brought up to date: only what is new is written. The log in it is in the form that anyone can audit
    (inbond log audit DIR/log), and belongs to no kind of database.
    """
    from inbond.registry.backing import back_up

    with session.open() as registry, progress(session.output) as tell:
        done = back_up(registry, dir, keys=keys, progress=tell)
        origin = registry.origin
    data = {"folder": str(dir), "size": done.size, "objects": done.objects, "copied": done.copied, "keys": done.keys}
    whole = [("backup", f"{origin} in {dir}"), ("ledger", f"size {done.size}")]
    objects = f"{plural(done.objects, 'object')}, {done.copied:,} new"
    session.output.answer(
        data, pairs([*whole, ("objects", objects), ("keys", "in it" if done.keys else "not in it")], whole=True)
    )
    if not done.keys:
        session.output.say("keep a copy of keys/ apart from it: without them nothing can be signed")


@command("restore", "inbond restore /backups/warehouse warehouse")
@click.argument("backup", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("dir", type=click.Path(path_type=Path, file_okay=False))
@click.option("--database", metavar="URL", help="Put the ledger into PostgreSQL (postgresql://…), in an empty schema.")
@click.option("--store", metavar="URL", help="Put the objects into an S3 bucket (s3://BUCKET/PREFIX).")
def restore(session: Session, backup: Path, dir: Path, database: str | None, store: str | None) -> None:
    """Make a registry in DIR of a backup.

    Everything in it is verified first: entries, signatures, tree, catalogue, objects. Whatever database the backup was taken
    of, the ledger goes into a file of DIR, or into PostgreSQL.
    """
    from inbond.registry.backing import restore as make

    with progress(session.output) as tell:
        done = make(backup, dir, database=database, store=store, progress=tell)
    checked = done.checked
    data = {
        "folder": str(dir),
        "origin": done.home.origin,
        "genesis": done.home.genesis.hex(),
        "size": done.size,
        "signatures": checked.signatures,
        "shards": checked.shards,
        "objects": checked.objects,
        "behind": done.behind,
    }
    what = f"{plural(checked.signatures, 'signature')}, {plural(checked.shards, 'shard')}, {plural(checked.objects, 'object')}"
    lines = pairs([("registry", f"{done.home.origin} in {dir}"), ("ledger", f"size {done.size}"), ("verified", what)], whole=True)
    session.output.answer(data, lines)
    if done.behind:
        session.output.say(f"it can be read, not written: {done.behind}")


COMMANDS = (backup, restore)
