"""The folder of a registry, and how one is made.

registry.toml   origin, genesis (leaf hash of entry 0), operator
policy.txt      the trust policy that an outsider would use (tlog-policy)
ledger.db       the log and its projection, with ledger.lock; or ledger.address, which names the PostgreSQL database with them
objects/        the object store
keys/           the operator's keys, one a role, and keys/runs/, one a run (0700, files 0600)
"""

import os
import re
import secrets
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inbond.ledger import dsse
from inbond.ledger.files import sync_folder, write_durably
from inbond.ledger.keys import VerifierKey
from inbond.ledger.log import Log
from inbond.ledger.policy import TrustedLog, TrustPolicy
from inbond.registry.keychain import Keychain
from inbond.registry.objects import ObjectStore
from inbond.registry.rules import RegistryRules
from inbond.schemas import statement
from inbond.schemas.declared import not_applicable, unknown
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from inbond.schemas.scalars import Role
from inbond.schemas.statements import AssertedBy, Basis, FirstParty, Genesis, Header, Visibility

CONFIG = "registry.toml"
POLICY = "policy.txt"
OPERATOR_ROLES = (Role.PRODUCER, Role.TRAINER, Role.COMPLIANCE)

_ORIGIN = re.compile(r"[a-z0-9][a-z0-9.-]*(?::[0-9]+)?(?:/[A-Za-z0-9._~-]+)+|[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Home:
    """Where a registry lies, and what pins it."""

    folder: Path
    origin: str
    genesis: bytes
    operator: str

    @classmethod
    def read(cls, folder: Path) -> "Home":
        """The registry in `folder`; NotFound when there is none, InvalidInput for a damaged registry.toml."""
        path = folder / CONFIG
        try:
            text = path.read_text()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"{folder} is not a registry: expected {CONFIG} in it", hint="inbond init DIR --origin NAME") from None
        try:
            values = tomllib.loads(text)
            return cls(folder, str(values["origin"]), bytes.fromhex(values["genesis"]), str(values["operator"]))
        except (KeyError, ValueError, TypeError) as error:
            raise InvalidInput(f"{path}: expected origin, genesis and operator, found {error}") from None


def create(folder: Path, origin: str, operator: str, database: str | None = None) -> Home:
    """Make a registry: keys, genesis, first checkpoint. It appears under its name when it is whole, or not at all.

    Its log lies in the folder, or in a PostgreSQL `database` (an address such as postgresql://user@host/name).
    """
    if not _ORIGIN.fullmatch(origin):
        raise InvalidInput(f"origin: expected a name such as example.org/inbond (no scheme, no spaces), found {origin!r}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} exists and is not empty: expected a new or empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.inbond-init"
    building.mkdir()
    try:
        home = _fill(building, origin, operator, database)
        if folder.exists():
            folder.rmdir()
        os.rename(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return Home(folder, home.origin, home.genesis, home.operator)


def _fill(folder: Path, origin: str, operator: str, database: str | None) -> Home:
    keys = Keychain.create(folder / "keys")
    admin, registry = (keys.generate(role, f"{origin}/{role}") for role in (Role.ADMIN, Role.REGISTRY))
    log_key = keys.generate(Role.LOG, origin)
    header_id = secrets.token_hex(16)
    body = Genesis(
        origin=origin,
        admins=(admin.public.base64,),
        threshold=1,
        log_keys=(log_key.verifier.format(),),
        registry_key=registry.public.base64,
        operator=FirstParty(name=operator, legal_name=unknown()),
    )
    header = Header(
        registry=origin,
        id=header_id,
        seen=None,
        occurred=not_applicable(),
        basis=Basis.OBSERVED,
        asserted_by=AssertedBy(party=f"party:{header_id}"),
        evidence=(),
        visibility=Visibility.PUBLIC,
    )
    store = ObjectStore(folder / "objects")
    store.put_bytes(b"")  # the empty list, which statements name again and again
    rules = RegistryRules(store)
    log = Log.create(folder, dsse.sign(statement.make("genesis", body, header), [admin]), log_key, rules, database=database)
    log.close()
    home = Home(folder, origin, log.genesis_leaf, f"party:{header_id}")
    write_durably(folder / POLICY, policy_text([log_key.verifier]))
    write_durably(folder / CONFIG, config_text(home))
    return home


def config_text(home: Home) -> bytes:
    """What registry.toml holds, byte for byte."""
    return f'origin = "{home.origin}"\ngenesis = "{home.genesis.hex()}"\noperator = "{home.operator}"\n'.encode()


def policy_text(log_keys: Sequence[VerifierKey]) -> bytes:
    """What policy.txt holds, byte for byte: trust in this log's keys."""
    return TrustPolicy(logs=tuple(TrustedLog(key) for key in log_keys)).format().encode()
