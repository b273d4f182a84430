"""What an export in a format of others says of itself (`lineage.json`), compared with its files and what its receipts prove."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from inbond.registry.delivering import LINEAGE

Check = dict[str, str]


class _File(msgspec.Struct):
    path: str
    sha256: str


class _OnRecord(msgspec.Struct):
    entry: int


class _Lineage(msgspec.Struct):
    files: list[_File]
    on_record: dict[str, _OnRecord]


def checked_lineage(folder: Path, proved: list[dict[str, Any]]) -> list[Check]:
    """A check for each data file, and for each thing that is said to be on record; `proved` are those of the receipts.

    A file that is as `lineage.json` says is noted, not proved: nobody signed what it says of it.
    """
    try:
        said = msgspec.json.decode((folder / LINEAGE).read_bytes(), type=_Lineage)
    except (OSError, msgspec.DecodeError) as error:
        return [_check("FAILED", folder / LINEAGE, f"expected what an export is made of, found: {error}")]
    entries = {check["what"]: check["text"] for check in proved if check["status"] == "proved"}
    return [*(_file(folder, each) for each in said.files), *_on_record(folder, said, entries)]


def _file(folder: Path, said: _File) -> Check:
    path = folder / said.path
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return _check("FAILED", path, "expected a data file of this folder, found none")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != said.sha256:
        return _check("FAILED", path, f"expected bytes with the SHA-256 {said.sha256}, as {LINEAGE} says, found {found}")
    return _check("noted", path, f"as {LINEAGE} says, which nobody signed")


def _on_record(folder: Path, said: _Lineage, proved: dict[str, str]) -> Iterator[Check]:
    """What is said to be on record, but is not what the receipt of that entry proves; one line where all of it is."""
    wrong = 0
    for ref, thing in said.on_record.items():
        text = proved.get(str(folder / "receipts" / f"{thing.entry}.tlog-proof"), "")
        if ref.partition(":")[2] not in text:
            wrong += 1
            yield _check(
                "FAILED", folder / LINEAGE, f"expected entry {thing.entry} to have made {ref}, found {text or 'no receipt'}"
            )
    if not wrong:
        yield _check("proved", folder / LINEAGE, f"the {len(said.on_record)} things that it names are on record where it says")


def _check(status: str, what: Path, text: str) -> Check:
    return {"status": status, "what": str(what), "text": text}
