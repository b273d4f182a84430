"""The folder of a registry, and how one is made.

registry.toml   origin, genesis (leaf hash of entry 0), operator; store, where objects are not in the folder
policy.txt      the trust policy that an outsider would use (tlog-policy)
ledger.db       the log and its projection, with ledger.lock; or ledger.address, which names the PostgreSQL database with them
objects/        the object store, unless registry.toml names a bucket; scratch/ is then what is being written
keys/           the operator's keys, one a role, and keys/runs/, one a run (0700, files 0600)
"""

import re
import secrets
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from inbond.ledger import dsse
from inbond.ledger.checkpoints import LogSigner
from inbond.ledger.cosignatures import ml_dsa_available
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.files import appearing, write_durably
from inbond.ledger.keys import ML_DSA_44, SigningKey
from inbond.ledger.log import Log
from inbond.registry.keychain import Keychain
from inbond.registry.objects import ObjectStore
from inbond.registry.policies import policy_text
from inbond.registry.rules import RegistryRules
from inbond.registry.stores.bucket import BucketStore, Location, here, split_url
from inbond.registry.stores.folder import FolderStore
from inbond.schemas import statement
from inbond.schemas.declared import not_applicable, unknown
from inbond.schemas.errors import InvalidInput, NotFound
from inbond.schemas.scalars import Role
from inbond.schemas.statements import AssertedBy, Basis, FirstParty, Genesis, Header, Visibility

CONFIG = "registry.toml"
POLICY = "policy.txt"
MAX_ADMINS = 15  # an envelope holds 16 signatures, and an enrolled key signs too
OPERATOR_ROLES = (Role.PRODUCER, Role.TRAINER, Role.COMPLIANCE)

_ORIGIN = re.compile(r"[a-z0-9][a-z0-9.-]*(?::[0-9]+)?(?:/[A-Za-z0-9._~-]+)+|[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Home:
    """Where a registry lies, and what pins it. Its objects lie in the folder, or in the bucket that `bucket` names."""

    folder: Path
    origin: str
    genesis: bytes
    operator: str
    bucket: Location | None = None

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
            genesis, bucket = bytes.fromhex(values["genesis"]), values.get("store")
            where = None if bucket is None else split_url(str(bucket), values.get("endpoint"), values.get("region"))
            return cls(folder, str(values["origin"]), genesis, str(values["operator"]), where)
        except (KeyError, ValueError, TypeError) as error:
            raise InvalidInput(f"{path}: expected origin, genesis and operator, found {error}") from None

    def store(self) -> ObjectStore:
        """Where its objects lie."""
        return store_in(self.folder, self.bucket)


def create(
    folder: Path,
    origin: str,
    operator: str,
    database: str | None = None,
    *,
    admins: int = 1,
    threshold: int = 1,
    store: str | None = None,
) -> Home:
    """Make a registry: keys, genesis, first checkpoint. It appears under its name when it is whole, or not at all.

    Its log lies in the folder, or in a PostgreSQL `database` (an address such as postgresql://user@host/name), its objects in
    the folder, or in an S3 `store` (s3://bucket/prefix). `threshold` of its `admins` have to sign what is said of keys later.
    """
    bucket = None if store is None else here(split_url(store))
    if not 1 <= threshold <= admins <= MAX_ADMINS:
        raise InvalidInput(
            f"expected 1 to {MAX_ADMINS} admins and a threshold of 1 to their number, found {threshold} of {admins}"
        )
    if not _ORIGIN.fullmatch(origin):
        raise InvalidInput(f"origin: expected a name such as example.org/inbond (no scheme, no spaces), found {origin!r}")
    with appearing(folder) as building:
        home = _fill(building, origin, operator, database, admins, threshold, bucket)
    return replace(home, folder=folder)


def store_in(folder: Path, bucket: Location | None) -> ObjectStore:
    """The objects of a registry in `folder`: there, or in a bucket."""
    return FolderStore(folder / "objects") if bucket is None else BucketStore(bucket, folder / "scratch")


def _fill(
    folder: Path, origin: str, operator: str, database: str | None, count: int, threshold: int, bucket: Location | None
) -> Home:
    store = store_in(folder, bucket)
    if isinstance(store, BucketStore):
        store.check_reachable()
    keys = Keychain.create(folder / "keys")
    names = [Role.ADMIN.value, *(f"{Role.ADMIN}-{number}" for number in range(2, count + 1))]
    *admins, registry = (keys.generate(name, f"{origin}/{name}") for name in (*names, Role.REGISTRY.value))
    log_keys: list[LogSigner] = [SigningKey.generate(origin)]
    if ml_dsa_available():
        log_keys.append(Cosigner.generate(origin, ML_DSA_44))
    for key in log_keys:
        keys.keep_log_key(key)
    header_id = secrets.token_hex(16)
    body = Genesis(
        origin=origin,
        admins=tuple(admin.public.base64 for admin in admins),
        threshold=threshold,
        log_keys=tuple(key.verifier.format() for key in log_keys),
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
    store.put_bytes(b"")  # the empty list, which statements name again and again
    rules = RegistryRules(store)
    log = Log.create(folder, dsse.sign(statement.make("genesis", body, header), admins), log_keys, rules, database=database)
    log.close()
    home = Home(folder, origin, log.genesis_leaf, f"party:{header_id}", bucket)
    write_durably(folder / POLICY, policy_text(log.keyring.log))
    write_durably(folder / CONFIG, config_text(home))
    return home


def config_text(home: Home) -> bytes:
    """What registry.toml holds, byte for byte."""
    values = {"origin": home.origin, "genesis": home.genesis.hex(), "operator": home.operator}
    if home.bucket is not None:
        values["store"] = home.bucket.url
        values |= {name: value for name in ("endpoint", "region") if (value := getattr(home.bucket, name)) is not None}
    return "".join(f'{name} = "{value}"\n' for name, value in values.items()).encode()
