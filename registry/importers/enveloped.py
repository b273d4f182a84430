"""Records out of a body that came in an envelope, whose fields stay around what is left of the body."""

from collections.abc import Callable, Sequence

import msgspec

from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record


def enveloped(records: Sequence[Record | Observed], extra: Callable[[str | None], str | None]) -> list[Record | Observed]:
    """The records with `extra(what was left of the body)` as their extra."""
    found: list[Record | Observed] = []
    for item in records:
        if isinstance(item, Observed):
            record = msgspec.structs.replace(item.record, extra=extra(item.record.extra))
            found.append(msgspec.structs.replace(item, record=record))
        else:
            found.append(msgspec.structs.replace(item, extra=extra(item.extra)))
    return found
