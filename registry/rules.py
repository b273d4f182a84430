"""The subject's rules, as the ledger asks for them: admission, projection, and run keys."""

from sqlalchemy import Connection, Table

from inbond.ledger.pending import settle
from inbond.ledger.rules import Draft
from inbond.registry import tables as t
from inbond.registry.admission import admit, asks_nothing
from inbond.registry.lists import Lists
from inbond.registry.objects import ObjectStore
from inbond.registry.projection import project
from inbond.registry.signers import SignerRules


class RegistryRules(SignerRules):
    """All rules; they read the lists that statements name from `store`."""

    tables: list[Table] = t.TABLES
    plain = None

    def __init__(self, store: ObjectStore) -> None:
        self._lists = Lists(store)

    def admit(self, connection: Connection, draft: Draft) -> None:
        """Raise the InbondError that keeps `draft` out."""
        if not asks_nothing(draft):
            settle(connection)
        super().admit(connection, draft)
        admit(connection, draft, self._lists)

    def project(self, connection: Connection, draft: Draft) -> None:
        """Write the catalogue rows of `draft`, or leave them to be written before the tables are read."""
        if not asks_nothing(draft):
            settle(connection)
        super().project(connection, draft)
        project(connection, draft, self._lists)
