"""How far a run was read on this machine: a convenience beside the ledger, never evidence."""

from pathlib import Path

CURSORS = "cursors"
"""What people call the folder."""


class Cursors:
    """A folder of small files, one an open run. Nothing is synced: a cursor that is lost means to hand out a segment again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read_to(self, run: str) -> int:
        """The newest segment of a run that was handed out to its end here, -1 for none."""
        try:
            return int(self._path(run).read_text())
        except (FileNotFoundError, ValueError):
            return -1

    def mark(self, run: str, sequence: int) -> None:
        """Remember that a segment was handed out to its end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        beside = self._path(run).with_suffix(".new")
        beside.write_text(f"{sequence}\n")
        beside.replace(self._path(run))

    def drop(self, run: str) -> None:
        """Forget a run that is closed."""
        self._path(run).unlink(missing_ok=True)

    def _path(self, run: str) -> Path:
        return self._folder / f"{run.partition(':')[2]}.cursor"
