"""Which checkpoint a log shows, and with which cosignatures.

Which heads count is for each reader's policy to say. But a registry whose own policy wants a quorum promises its readers heads
that have it: it shows the newest such head, as other logs with a witness policy do, and a newer one when its witnesses have
cosigned that. Until there is a first one the newest is shown as it is; no reader with that policy accepts it, and says why.

Appends wait for nobody: their receipts are under the head that holds them, and are refreshed later.
"""

from dataclasses import dataclass, replace

from inbond.ledger import checkpoints, notes
from inbond.ledger.policy import NO_QUORUM, TrustPolicy
from inbond.ledger.reader import LedgerReader
from inbond.ledger.receipts import Receipt
from inbond.ledger.witnessed import Witnessed


@dataclass(frozen=True, slots=True)
class _Found:
    """The accepted checkpoint of `size`, as it was when there were `count` cosignatures and the log had `looked` entries."""

    count: int = -1
    looked: int = 0
    size: int = 0
    note: bytes | None = None


class PublishedHeads:
    """The checkpoints of one log as outsiders get them, under the registry's own policy. For many threads."""

    def __init__(self, kept: Witnessed, policy: TrustPolicy) -> None:
        self.kept, self.policy = kept, policy
        self._found = _Found()  # one value, so read and written as one
        self._noted: tuple[int, bytes, bytes] = (-1, b"", b"")  # how many cosignatures there were, a note, the note with its own

    def newest(self, reader: LedgerReader) -> bytes:
        """The checkpoint to show: the newest that has the policy's quorum, else the newest; with its cosignatures."""
        return self.accepted(reader) or self._cosigned(reader.note)

    def accepted(self, reader: LedgerReader) -> bytes | None:
        """The newest checkpoint that the policy accepts, with its cosignatures; None if there is none yet."""
        return self._cosigned(reader.note) if self.policy.quorum == NO_QUORUM else self._accepted(reader).note

    def at(self, reader: LedgerReader, size: int) -> bytes:
        """The checkpoint of `size` with its cosignatures; NotFound where none was signed."""
        return self._cosigned(reader.checkpoint(size))

    def receipt(self, reader: LedgerReader, seq: int, size: int | None = None, *, with_entry: bool = True) -> Receipt:
        """A receipt of entry `seq` under the checkpoint of `size`.

        Unless a size is given, under the one that is shown; where that does not cover the entry yet, under the newest.
        """
        if size is None:
            shown = reader.size if self.policy.quorum == NO_QUORUM else self._accepted(reader).size
            size = shown if seq < shown else reader.size
        receipt = reader.receipt(seq, size, with_entry=with_entry)
        return replace(receipt, checkpoint=self._cosigned(receipt.checkpoint))

    def close(self) -> None:
        """Close the file of cosignatures."""
        self.kept.close()

    def _accepted(self, reader: LedgerReader) -> _Found:
        count, found = self.kept.count(), self._found
        if found.size > reader.size:
            found = _Found()  # a later snapshot's
        if (found.count, found.looked) == (count, reader.size):
            return found
        # without another cosignature, only the newest head can have come to be accepted: by a signature of the log's own
        above = reader.size - 1 if found.count == count else found.size
        note = self.kept.accepted(reader, self.policy, above=above)
        if note is None and found.note is not None:
            note = self._cosigned(found.note)  # some may have cosigned it since
        size = 0 if note is None else checkpoints.parse(notes.parse(note).text).size
        self._found = found = _Found(count, reader.size, size, note)
        return found

    def _cosigned(self, note: bytes) -> bytes:
        """A checkpoint with its cosignatures; most receipts are under the same one."""
        count, known = self.kept.count(), self._noted
        if known[:2] != (count, note):
            self._noted = known = (count, note, self.kept.cosigned(note))
        return known[2]
