"""Which checkpoint a log shows, and with which cosignatures.

Which heads count is for each reader's policy to say. But a registry whose own policy wants a quorum promises its readers heads
that have it: it shows the newest such head, as other logs with a witness policy do, and a newer one when its witnesses have
cosigned that. Until there is a first one the newest is shown as it is; no reader with that policy accepts it, and says why.

Appends wait for nobody: their receipts are under the head that holds them, and are refreshed later.
"""

from threading import Lock

from inbond.ledger import checkpoints, notes
from inbond.ledger.policy import NO_QUORUM, TrustPolicy
from inbond.ledger.reader import LedgerReader
from inbond.ledger.receipts import Receipt
from inbond.ledger.witnessed import Witnessed, with_cosignatures


class PublishedHeads:
    """The checkpoints of one log as outsiders get them, under the registry's own policy. For many threads."""

    def __init__(self, kept: Witnessed, policy: TrustPolicy) -> None:
        self.kept, self.policy = kept, policy
        self._lock = Lock()
        self._accepted: tuple[int, int, bytes] | None = None  # (cosignatures when it was looked for, size, note)

    def newest(self, reader: LedgerReader) -> bytes:
        """The checkpoint to show: the newest that has the policy's quorum, else the newest; with its cosignatures."""
        return self.accepted(reader) or self.kept.cosigned(reader.note)

    def accepted(self, reader: LedgerReader) -> bytes | None:
        """The newest checkpoint that the policy accepts, with its cosignatures; None if there is none yet."""
        if self.policy.quorum == NO_QUORUM:
            return self.kept.cosigned(reader.note)
        count = self.kept.count()
        with self._lock:
            known = self._accepted
        if known is not None and known[1] > reader.size:
            known = None  # another snapshot's
        if known is not None and known[0] == count:
            return known[2]
        note = self.kept.accepted(reader, self.policy, above=known[1] if known else 0)
        if note is None and known is not None:
            note = self.kept.cosigned(known[2])  # some may have cosigned it since
        if note is not None:
            with self._lock:
                self._accepted = count, checkpoints.parse(notes.parse(note).text).size, note
        return note

    def at(self, reader: LedgerReader, size: int) -> bytes:
        """The checkpoint of `size` with its cosignatures; NotFound where none was signed."""
        return self.kept.cosigned(reader.checkpoint(size))

    def receipt(self, reader: LedgerReader, seq: int, size: int | None = None, *, with_entry: bool = True) -> Receipt:
        """A receipt of entry `seq` under the checkpoint of `size`.

        Unless a size is given, under the one that is shown; where that does not cover the entry yet, under the newest.
        """
        if size is None:
            note = self.newest(reader)
            size = checkpoints.parse(notes.parse(note).text).size
            if not seq < size:
                size, note = reader.size, self.kept.cosigned(reader.note)
        else:
            note = self.at(reader, size)
        return with_cosignatures(reader.receipt(seq, size, with_entry=with_entry), note)

    def close(self) -> None:
        """Close the file of cosignatures."""
        self.kept.close()
