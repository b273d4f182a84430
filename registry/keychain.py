"""The signing keys at hand: files of mode 0600 in one folder, named after the role, and one for each open run.

The log's keys are `log.key` (Ed25519) and `log-ml-dsa-44.key`. A key that is to take over lies beside as `log-next.key` until the
log says that it has; then it gets the name, and the one before is put away as `log-replaced-<key id>.key`. So a command that dies
between any two steps leaves old and new at hand, and the log's entries say which of them signs.
"""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from inbond.ledger.checkpoints import LogSigner
from inbond.ledger.cosignatures import ml_dsa_available
from inbond.ledger.cosigner import Cosigner, read_signer
from inbond.ledger.files import make_folders, sync_folder
from inbond.ledger.keys import ED25519, ML_DSA_44, SigningKey, read_key, write_key, write_key_text
from inbond.ledger.logkeys import fingerprint_of
from inbond.schemas.errors import InbondError, NotFound, NotPermitted, StoreError, VerificationError

LOG_FILES = {ED25519: "log", ML_DSA_44: "log-ml-dsa-44"}
"""What the key files of a log are called, by the type of their signatures."""

_NEXT = "-next"


class Keychain:
    """A folder of key files: `<role>.key`, and `runs/<run id>.key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path) -> "Keychain":
        """Make the folder, closed to others."""
        folder.mkdir(mode=0o700)
        (folder / "runs").mkdir(mode=0o700)
        return cls(folder)

    def generate(self, role: str, name: str) -> SigningKey:
        """Make and keep the key of a role."""
        key = SigningKey.generate(name)
        self.keep(role, key)
        return key

    def keep(self, role: str, key: SigningKey) -> None:
        """Keep the key of a role."""
        write_key(self.folder / f"{role}.key", key)

    def role(self, role: str) -> SigningKey:
        """The key of a role; NotPermitted when it is not at hand."""
        try:
            return read_key(self.folder / f"{role}.key")
        except NotFound:
            elsewhere = os.environ.get("INBOND_KEYS")
            unused = elsewhere and Path(elsewhere).absolute() != self.folder.absolute()
            beside = "; INBOND_KEYS is for registries on a server, a folder has keys of its own" if unused else ""
            raise NotPermitted(
                f"no {role} key at hand: expected {self.folder / f'{role}.key'}{beside}",
                hint=f"inbond key add --role {role} (with the admin key), or put the key file there",
            ) from None

    def has(self, role: str) -> bool:
        """Whether the key of a role is at hand."""
        return os.path.isfile(self.folder / f"{role}.key")  # `Path.is_file` raises where the folder may not be entered

    def files(self) -> dict[str, str]:
        """Where the key of each fingerprint lies, of those that can be read; the keys of runs are left out."""
        found = {}
        for path in sorted(self.folder.glob("*.key")):
            try:
                found[fingerprint_of(read_signer(path).verifier)] = str(path)
            except InbondError:
                continue  # `inbond doctor` and `inbond verify` say what is wrong with it
        return found

    def admins(self, enrolled: Collection[str]) -> list[SigningKey]:
        """The admin keys at hand, among those `enrolled` (fingerprints), `admin.key` first."""
        found = {fingerprint: Path(path) for fingerprint, path in self.files().items() if fingerprint in enrolled}
        return [read_key(path) for path in sorted(found.values(), key=lambda path: (path.stem != "admin", path.stem))]

    # -- the log's keys ----------------------------------------------------------------------------------------------------

    def log_keys(self) -> list[LogSigner]:
        """The log's keys at hand, with those that are about to take over.

        An ML-DSA-44 key is left out where it cannot be used. Raises what `read_key` raises for a file that is not whole.
        """
        found: list[LogSigner] = []
        for type in LOG_FILES:
            for end in ("", _NEXT):
                with suppress(NotFound):
                    found += [key] if (key := self._log_key(type, end)) is not None else []
        return found

    def keep_log_key(self, key: LogSigner) -> None:
        """Keep a log's first key of a type."""
        write_key_text(self.folder / f"{LOG_FILES[key.verifier.type]}.key", key.to_text())

    def next_log_key(self, type: int) -> LogSigner | None:
        """The key that is to take over, None where there is none."""
        try:
            return self._log_key(type, _NEXT)
        except NotFound:
            return None

    def make_next_log_key(self, type: int, name: str) -> LogSigner:
        """Make and keep the key that is to take over; it must be on disk before the log names it."""
        key = SigningKey.generate(name) if type == ED25519 else Cosigner.generate(name, type)
        write_key_text(self.folder / f"{LOG_FILES[type]}{_NEXT}.key", key.to_text())
        return key

    def switch_log_key(self, type: int) -> None:
        """Put the key that has taken over in the place of the one before, which is put away."""
        name = LOG_FILES[type]
        try:
            with suppress(NotFound):
                before = read_signer(self.folder / f"{name}.key").verifier
                (self.folder / f"{name}.key").rename(self.folder / f"{name}-replaced-{before.key_id.hex()}.key")
            (self.folder / f"{name}{_NEXT}.key").rename(self.folder / f"{name}.key")
            sync_folder(self.folder)
        except OSError as error:
            raise StoreError(f"{self.folder}: the log's key files could not be renamed: {error.strerror}") from error

    def _log_key(self, type: int, end: str) -> LogSigner | None:
        """The key in a file; None for one that cannot be used here. Raises VerificationError for one of another type."""
        if type == ML_DSA_44 and not ml_dsa_available():
            return None
        path = self.folder / f"{LOG_FILES[type]}{end}.key"
        key = read_signer(path)
        if key.verifier.type != type:
            raise VerificationError(f"{path}: expected a key of type {type:02x}, found one of type {key.verifier.type:02x}")
        return key

    def put_away(self, role: str, key: SigningKey) -> None:
        """Rename the key of a role, which was revoked, so that another can take its place."""
        (self.folder / f"{role}.key").rename(self.folder / f"{role}-revoked-{key.public.fingerprint[:16]}.key")

    def keep_run(self, run_id: str, key: SigningKey) -> None:
        """Keep the key of a run; it must be on disk before the run is."""
        with suppress(OSError):  # writing the key says what is wrong
            make_folders(self.folder / "runs", 0o700)
        write_key(self.folder / "runs" / f"{run_id}.key", key)

    def run(self, ref: str) -> SigningKey:
        """The key of a run, by reference; NotPermitted when it is not at hand."""
        path = self.folder / "runs" / f"{ref.partition(':')[2]}.key"
        try:
            return read_key(path)
        except NotFound:
            raise NotPermitted(f"the key of {ref} is not at hand: expected {path}", hint="open a run of another name") from None

    def drop_run(self, ref: str) -> None:
        """Forget the key of a run that is closed: it signs nothing any more."""
        (self.folder / "runs" / f"{ref.partition(':')[2]}.key").unlink(missing_ok=True)
