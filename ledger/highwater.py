"""The newest checkpoint, kept outside the database.

A database that was restored from an older backup, or fell back to a lagging copy, would sign a second history for sizes
it had already signed: a fork. This file remembers the newest checkpoint that was ever answered for, and every write
compares it. It lies under the user's state folder, named by the genesis leaf hash, so a restored registry folder does
not bring an old one along. `INBOND_STATE` names another place.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.database import locked
from inbond.ledger.files import make_folders, write_durably
from inbond.ledger.logkeys import LogKeys
from inbond.schemas.errors import StoreError, VerificationError


def state_folder() -> Path:
    """Where high-water files lie: INBOND_STATE, else the user's state folder."""
    named = os.environ.get("INBOND_STATE")
    return Path(named) if named else Path(platformdirs.user_state_dir("inbond"))


class HighWater:
    """The checkpoint file of one log. `keys` are those that the log's entries name, as far as they are known."""

    def __init__(self, genesis_leaf: bytes, origin: str, keys: LogKeys) -> None:
        self.path = state_folder() / genesis_leaf.hex() / "checkpoint"
        self._lock = state_folder() / f"{genesis_leaf.hex()}.lock"
        self._origin = origin
        self.keys = keys

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file from its comparison to its replacement, so that two copies of a log cannot both find it unmoved."""
        try:
            make_folders(self._lock.parent, 0o700)
        except OSError as error:
            raise StoreError(f"{self._lock.parent}: cannot be made: {error}", hint="INBOND_STATE names another") from error
        with locked(self._lock):
            yield

    def read(self) -> bytes | None:
        """The note, not verified; None when this machine has never seen the log."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.path}: cannot read the newest checkpoint: {error}") from error

    def open(self, note: bytes) -> Checkpoint:
        """The checkpoint in a note that was read; raises VerificationError unless this log signed it."""
        try:
            return self.keys.open(note, self._origin)
        except VerificationError as error:
            raise VerificationError(
                f"{self.path}: expected a checkpoint signed by this log, found: {error.message}",
                hint="compare it with your witnesses' or auditors' newest checkpoint before you remove it; if the log's key was "
                "rotated since, the database is older than that: restore the newest",
            ) from None

    def write(self, note: bytes) -> None:
        """Replace the file: write, fsync, rename, fsync folder."""
        try:
            make_folders(self.path.parent, 0o700)
            write_durably(self.path, note)
        except OSError as error:
            raise StoreError(
                f"{self.path}: the statement is on record, but the newest checkpoint could not be written: {error}",
                hint="free space or mend permissions, then send the same statement again: it will not be doubled",
            ) from error
