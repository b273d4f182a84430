"""A registry in a folder of this machine: every question answered from its log, its catalogue and its store.

What the HTTP API answers, it asks here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, BinaryIO, Self, TypeVar

import msgspec
from sqlalchemy import select

from inbond.ledger import audit, dsse
from inbond.ledger.checkpoints import LogSigner
from inbond.ledger.keyring import KeyState
from inbond.ledger.log import Log
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.publishing import PublishedHeads
from inbond.ledger.receipts import Receipt
from inbond.ledger.witnessed import Witnessed
from inbond.registry import granting, names, paging
from inbond.registry import tables as t
from inbond.registry.current import newest_of
from inbond.registry.given import chunks
from inbond.registry.home import CONFIG, POLICY, Home
from inbond.registry.keychain import Keychain
from inbond.registry.mentions import digests
from inbond.registry.objects import bare
from inbond.registry.place import Page, Recorded, Thing
from inbond.registry.places.folder_answers import FolderAnswers
from inbond.registry.places.folder_terms import FolderTerms
from inbond.registry.reading import statement_of
from inbond.registry.rules import RegistryRules
from inbond.registry.signers import SignerRules
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, InvalidInput, NotFound, NotPermitted, StoreError, VerificationError
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Extent, Seen, Shard

L = TypeVar("L")


class FolderPlace(FolderAnswers):
    """The folder that `home` names, its log open. `keys` are the keys in it: the log's and the registry's among them.

    May be used from several threads. Without the log's key it can be read only.
    """

    def __init__(self, home: Home, *, accept_clock: bool = False) -> None:
        self.home, self.folder = home, home.folder
        self.address = str(home.folder)
        self.origin, self.genesis, self.operator = home.origin, home.genesis, home.operator
        self.keys = Keychain(home.folder / "keys")
        self.store = self.objects = home.store()
        self.rules = RegistryRules(self.store)
        self.terms = FolderTerms(self)
        self.log = Log(home.folder, self.rules, self._log_key(), accept_clock=accept_clock, genesis=home.genesis)
        if home.origin != self.log.origin:
            self.log.close()
            raise VerificationError(f"{home.folder / CONFIG}: expected origin {self.log.origin}, found {home.origin}")

    def _log_key(self) -> list[LogSigner] | InbondError | None:
        """The log's keys; the error where a file of them may not be read: who reads only needs none."""
        try:
            return self.keys.log_keys() or None
        except (NotPermitted, StoreError) as error:
            return error

    @property
    def policy_text(self) -> str:
        """The trust policy that this registry publishes for outsiders."""
        return (self.folder / POLICY).read_text()

    @cached_property
    def published(self) -> PublishedHeads:
        """The checkpoints as outsiders get them. Raises InvalidInput, which names the file, for a policy that cannot be read."""
        try:
            policy = TrustPolicy.parse(self.policy_text)
        except (InbondError, OSError, UnicodeDecodeError) as error:
            why = error.message if isinstance(error, InbondError) else str(error)
            raise InvalidInput(
                f"{self.folder / POLICY}: expected the registry's trust policy (tlog-policy), found: {why}"
            ) from None
        return PublishedHeads(Witnessed(self.folder), policy)

    def audit(
        self, progress: audit.Progress | None = None, options: audit.Options | None = None, *, catalogue: bool = True
    ) -> audit.AuditReport:
        """Replay the whole log and compare everything that was stored; without `catalogue` what was stored of the log."""
        rules = RegistryRules(self.store) if catalogue else SignerRules()
        try:
            policy = TrustPolicy.parse(self.policy_text)
        except InbondError as error:
            raise VerificationError(f"{self.folder / POLICY}: expected a trust policy, found: {error.message}") from None
        options = replace(options or audit.Options(), policy=policy)
        report = audit.audit_log(self.log, rules, progress, options)
        if not catalogue:
            report.notes.append("the catalogue was left out, and so were the rules that need the registry's objects")
        return report

    def close(self) -> None:
        """Close the log."""
        if "published" in self.__dict__:
            self.published.close()
        self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the log -----------------------------------------------------------------------------------------------------------

    def head(self) -> Seen:
        """The newest head."""
        with self.reading() as reader:
            return Seen(size=reader.size, root=f"sha256:{reader.root.hex()}")

    def append(self, envelopes: Sequence[Envelope]) -> list[Recorded | InbondError]:
        """Put signed statements on record, in order; what is refused stands as its error in its place."""
        return [
            result if isinstance(result, InbondError) else Recorded(_ref_in(envelope), result.seq, result.duplicate)
            for envelope, result in zip(envelopes, self.log.append(envelopes), strict=True)
        ]

    def statement(self, ref: str) -> Statement:
        """The statement that made a thing, its entry and signatures checked; see `reading.statement_of`."""
        with self.reading() as reader:
            return statement_of(self.log, reader, ref)

    def receipt(self, seq: int, size: int | None = None) -> Receipt:
        """The receipt of an entry with its bytes, under the head of `size`, or the one that is shown; see `PublishedHeads`."""
        with self.reading() as reader:
            return self.published.receipt(reader, seq, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `old` is how that of `new` begins."""
        with self.reading() as reader:
            return reader.consistency(old, new)

    def remarks(self) -> list[str]:
        """None: whoever has the folder needs no witness."""
        return []

    def key(self, fingerprint: str) -> KeyState | None:
        """An enrolled key as of the newest head, None where there is none."""
        with self.reading() as reader:
            return self.log.keyring_at(reader).keys.get(fingerprint)

    # -- things ------------------------------------------------------------------------------------------------------------

    def find(self, text: str, *kinds: str, size: int | None = None) -> str:
        """The reference that `text` names; see `names.resolve`."""
        with self.reading_at(size) as reader:
            return names.resolve(reader.connection, text, *kinds, size=size)

    def things(self, refs: Iterable[str]) -> dict[str, Thing]:
        """What is known of each reference that is on record, in the order of `refs`."""
        wanted = list(dict.fromkeys(refs))
        c = t.things.c
        columns = (c.ref, c.kind, c.seq, c.owner, c.name, c.amends, c.visibility)
        found: dict[str, Thing] = {}
        with self.reading() as reader:
            newest, called = newest_of(reader.connection, wanted), names.names_of(reader.connection, wanted)
            for chunk in chunks(wanted):
                for row in reader.connection.execute(select(*columns).where(c.ref.in_(chunk))):
                    name = row.name if called[row.ref] == row.ref else called[row.ref]
                    found[row.ref] = Thing(*row[:4], name, row.amends, row.visibility, newest[row.ref])
        return {ref: found[ref] for ref in wanted if ref in found}

    def page(self, what: type[L], after: int = -1, limit: int = 100, **wanted: str) -> Page:
        """Items of one of the classes of `listing`; see `paging.page`."""
        with self.reading() as reader:
            return paging.page(reader, self.log.keyring_at(reader), what, after, limit, wanted)

    # -- bytes -------------------------------------------------------------------------------------------------------------

    def object(self, digest: str, of: str) -> bytes:
        """The bytes of an object that the statement `of` names, hashed before they are returned."""
        self._expect_named(digest, of)
        return self.store.get(digest)

    def lines(self, named: ObjectList, of: str) -> list[Any]:
        """The lines of a list that the statement `of` names; digest, root and count checked."""
        self._expect_named(named.digest, of)
        return self.store.read_lines(named.digest, named.root, int(named.count))

    def shard_file(self, ref: str, body: Shard, under: str | None) -> tuple[BinaryIO, bytes]:
        """The shard's file, not verified yet, and its joined block hashes; here nobody has to be asked."""
        joined = self.store.get_blocks(body.file, int(body.size))
        return self.store.open(body.file), joined

    def _expect_named(self, digest: str, of: str) -> None:
        found = self.statement(of)
        if f"sha256:{bare(digest)}" not in digests((found.body, found.header)):
            raise NotFound(f"{of} names no object {digest}")

    # -- what the registry signs -------------------------------------------------------------------------------------------

    def grant(self, request: Envelope) -> Recorded:
        """Have a request evaluated, and its grant put on record; see `granting.grant`."""
        return granting.grant(self, request)

    def deliver(
        self,
        *,
        grant: str | None = None,
        object: str | None = None,
        recipient: str | None = None,
        extent: Extent | None = None,
    ) -> list[Recorded]:
        """Put deliveries on record: of all that a grant for files covers, or of one object."""
        if grant is not None and object is None and recipient is None and extent is None:
            return granting.deliver_to_run(self, grant)
        if object is not None and grant is None:
            return [granting.deliver_object(self, object, recipient, extent)]
        raise InvalidInput("deliver: expected either a grant, or an object with its recipient and extent, found neither or both")


class _NamedHeader(msgspec.Struct):
    id: str


class _NamedPredicate(msgspec.Struct):
    header: _NamedHeader


class _Named(msgspec.Struct, rename="camel"):
    """As much of a statement that was admitted as its reference needs."""

    predicate: _NamedPredicate
    predicate_type: str


def _ref_in(envelope: Envelope) -> str:
    """The reference of what an admitted statement made."""
    found = msgspec.json.decode(dsse.payload_of(envelope), type=_Named)
    return f"{found.predicate_type.split(':')[2]}:{found.predicate.header.id}"
