"""Making the projection again from the entries, in one transaction."""

from collections.abc import Callable

from inbond.ledger import tables
from inbond.ledger.database import create_tables, translated
from inbond.ledger.keyring import Keyring
from inbond.ledger.log import Log
from inbond.ledger.pending import settle
from inbond.ledger.reader import LedgerReader
from inbond.ledger.replay import replayed
from inbond.ledger.rules import Rules

Progress = Callable[[int, int], None]


def rebuild(log: Log, rules: Rules, progress: Progress | None = None) -> int:
    """Make the projected tables anew and fold all entries again; returns their number. Writers wait, readers see old or new.

    The result equals the old rows, row for row, unless those had been altered. The tables may be those of an older version.
    """
    with log.database.writing() as connection, translated(log.database.name, log=True):
        for table in reversed(rules.tables):
            table.drop(connection, checkfirst=True)
        create_tables(connection, [*tables.TABLES, *rules.tables])
        reader = LedgerReader(connection)
        keyring = Keyring()
        for seq, data in reader.entries():
            draft = replayed(connection, rules, keyring, data)
            rules.project(connection, draft)
            keyring.apply(draft)
            if seq % 256 == 255 or seq + 1 == reader.size:
                settle(connection)
                if progress:
                    progress(seq + 1, reader.size)
        log.database.commit(connection)
        return reader.size
