"""The signing keys at hand: files of mode 0600 in one folder, named after the role, and one for each open run."""

import os
from contextlib import suppress
from pathlib import Path

from inbond.ledger.files import make_folders
from inbond.ledger.keys import SigningKey, read_key, write_key
from inbond.schemas.errors import InbondError, NotFound, NotPermitted


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
            raise NotPermitted(
                f"no {role} key at hand: expected {self.folder / f'{role}.key'}",
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
                found[read_key(path).public.fingerprint] = str(path)
            except InbondError:
                continue  # `inbond doctor` and `inbond verify` say what is wrong with it
        return found

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
