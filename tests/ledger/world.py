"""A small registry's log with its keys, made for tests: signs statements, opens and reopens the log, knows its rules."""

import random
import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, insert, select

from inbond.ledger import dsse
from inbond.ledger.checkpoints import LogSigner
from inbond.ledger.keys import SigningKey
from inbond.ledger.log import Appended, Log, utc_now
from inbond.ledger.policy import TrustedLog, TrustPolicy
from inbond.ledger.reader import LedgerReader
from inbond.ledger.rules import Draft, NoRules, Rules
from inbond.schemas import statement
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, PolicyDenied
from inbond.schemas.statements import (
    AssertedBy,
    Basis,
    Custody,
    FirstParty,
    Genesis,
    Header,
    Key,
    Party,
    Revocation,
    RevocationReason,
    Seen,
    Visibility,
)

ORIGIN = "example.org/log"

names = Table(
    "names",
    MetaData(),
    Column("name", String, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("signer", LargeBinary, nullable=False),
)


class NameRules:
    """Projects the aliases of parties: a name belongs to whoever registers it first.

    `no admit` is refused before and `no project` after rows were written, so that a test can look for leftovers.
    """

    tables: list[Table] = [names]  # noqa: RUF012

    def admit(self, connection: Connection, draft: Draft) -> None:
        if isinstance(draft.body, Party):
            if "no admit" in draft.body.aliases:
                raise PolicyDenied("expected another name, found 'no admit'")
            if connection.execute(select(names).where(names.c.name.in_(draft.body.aliases))).first():
                raise PolicyDenied(f"expected names that are free, found {', '.join(draft.body.aliases)}")

    def project(self, connection: Connection, draft: Draft) -> None:
        if isinstance(draft.body, Party):
            signer = bytes.fromhex(draft.signers[0].keyid)
            for name in draft.body.aliases:
                connection.execute(insert(names), {"name": name, "seq": draft.seq, "signer": signer})
                if name == "no project":
                    raise PolicyDenied("expected another name, found 'no project'")

    def key_at(self, connection: Connection, statement: Any, keyid: str) -> None:
        return None


class World:
    """A folder with a log, an admin key or several, a producer that genesis does not know but entry 1 enrols.

    All keys and header ids follow from `seed`, so two worlds with one seed and one clock hold the same bytes. With
    `create=False` the log is there already, made with the same seed by another process.
    """

    def __init__(
        self,
        folder: Path,
        rules: Rules | None = None,
        *,
        seed: int = 0,
        admins: int = 1,
        threshold: int = 1,
        clock: Callable[[], Any] = utc_now,
        create: bool = True,
        database: str | None = None,
        more_log_keys: Sequence[LogSigner] = (),
    ) -> None:
        self.folder, self.rules, self.clock = folder, rules or NameRules(), clock
        self.random = random.Random(seed)
        self.admins = [self.key(f"admin-{i}") for i in range(admins)]
        self.registry, self.producer = self.key("registry"), self.key("producer")
        self.log_key = SigningKey.from_seed(ORIGIN, self.random.randbytes(32))
        self.log_keys = [self.log_key, *more_log_keys]
        self.operator = f"party:{self.id()}"
        self.genesis = self.make_genesis(threshold)
        self.policy = TrustPolicy(logs=(TrustedLog(self.log_key.verifier),))
        if create:
            folder.mkdir(parents=True, exist_ok=True)
            self.log = Log.create(folder, self.genesis, self.log_keys, self.rules, clock=clock, database=database)
            self.log.append_one(self.enrol(self.producer))
        else:
            self.log = self.open()
            self.random.seed(secrets.randbits(128))  # other ids than those whoever made the log went on with
        self.genesis_leaf = self.log.genesis_leaf

    def make_genesis(self, threshold: int = 1, **changes: Any) -> Envelope:
        body = Genesis(
            origin=ORIGIN,
            admins=tuple(key.public.base64 for key in self.admins),
            threshold=threshold,
            log_keys=tuple(key.verifier.format() for key in self.log_keys),
            registry_key=self.registry.public.base64,
            operator=FirstParty(name="Example", legal_name=unknown()),
        )
        header = self.header(None, id=self.operator.removeprefix("party:"))
        return dsse.sign(statement.make("genesis", msgspec.structs.replace(body, **changes), header), self.admins)

    def open(self, rules: Rules | None = None, *, writable: bool = True, **options: Any) -> Log:
        """The log opened once more; the earlier object goes on working."""
        return Log(self.folder, rules or self.rules, self.log_keys if writable else None, clock=self.clock, **options)

    def reopen(self) -> Log:
        """Close the log and open it again."""
        self.log.close()
        self.log = self.open()
        return self.log

    def id(self) -> str:
        return self.random.randbytes(16).hex()

    def key(self, name: str) -> SigningKey:
        return SigningKey.from_seed(f"{ORIGIN}/{name}", self.random.randbytes(32))

    def seen(self) -> Seen:
        """The newest head of the log."""
        with self.log.reading() as reader:
            return seen(reader.size, reader.root)

    def header(self, seen: Seen | None, *, id: str | None = None, registry: str = ORIGIN) -> Header:
        return Header(
            registry=registry,
            id=id or self.id(),
            seen=seen,
            occurred=unknown(),
            basis=Basis.DECLARED,
            asserted_by=AssertedBy(party=self.operator),
            evidence=(),
            visibility=Visibility.PUBLIC,
        )

    def party(self, *aliases: str, keys: list[SigningKey] | None = None, **header: Any) -> Envelope:
        """A `party` statement with these names, signed by the producer unless keys are given."""
        header = {"seen": self.seen()} | header if "seen" not in header else header
        body = Party(legal_name=unknown(), aliases=aliases, domicile=unknown())
        return dsse.sign(statement.make("party", body, self.header(**header)), keys or [self.producer])

    def parties(self, count: int, prefix: str = "p", **header: Any) -> list[Envelope]:
        """`count` party statements with names of their own."""
        header = {"seen": self.seen()} | header
        return [self.party(f"{prefix}-{i}-{self.id()[:8]}", **header) for i in range(count)]

    def numbered(self, number: int, run: str = "") -> Envelope:
        """Statement `number` of a run: the same bytes whoever makes it, whenever."""
        id = sha256(f"{run}/{number}".encode()).hexdigest()[:32]
        return self.party(f"{run}/{number}", seen=seen(1, self.genesis_leaf), id=id)

    def key_statement(self, body: Key, keys: list[SigningKey], **header: Any) -> Envelope:
        header = {"seen": self.seen()} | header if "seen" not in header else header
        return dsse.sign(statement.make("key", body, self.header(**header)), keys)

    def key_body(self, key: SigningKey, *roles: str, **fields: Any) -> Key:
        return Key(
            public_key=key.public.base64,
            fingerprint=fields.pop("fingerprint", key.public.fingerprint),
            party=self.operator,
            roles=roles or ("producer",),
            custody=Custody.FILE,
            **fields,
        )

    def enrol(self, key: SigningKey, *roles: str, keys: list[SigningKey] | None = None, **fields: Any) -> Envelope:
        """The statement that enrols `key`, signed by every admin and by the key, unless `keys` says otherwise."""
        return self.key_statement(self.key_body(key, *roles, **fields), keys or [*self.admins, key])

    def revoke(self, key: SigningKey, keys: list[SigningKey] | None = None, **fields: Any) -> Envelope:
        """The statement that revokes `key`, signed by every admin."""
        revocation = Revocation(reason=RevocationReason.RETIRED, **fields)
        return self.key_statement(self.key_body(key, revocation=revocation), keys or self.admins)

    def entries(self) -> list[bytes]:
        """The bytes of all entries."""
        with self.log.reading() as reader:
            return [data for _, data in reader.entries()]


def seen(size: int, root: bytes) -> Seen:
    return Seen(size=size, root="sha256:" + root.hex())


def error_of(result: Appended | InbondError) -> InbondError:
    """The refusal; fails where a statement was taken."""
    assert isinstance(result, InbondError), f"expected a refusal, found {result}"
    return result


def seqs(results: list[Appended | InbondError]) -> list[int | None]:
    """The seq of each result, None where it was refused."""
    return [result.seq if isinstance(result, Appended) else None for result in results]


def rows(reader: LedgerReader, *tables: Table) -> list[list[tuple[Any, ...]]]:
    """All rows of tables, in the order of their primary keys."""
    return [
        [tuple(row) for row in reader.connection.execute(select(table).order_by(*table.primary_key.columns))] for table in tables
    ]


__all__ = ["ORIGIN", "NameRules", "NoRules", "World", "error_of", "names", "rows", "seen", "seqs"]
