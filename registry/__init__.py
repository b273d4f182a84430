"""The subject: teachers, terms, shards, datasets, students, runs; lineage and training. Knows no HTTP server.

`Registry` is the one object that people hold, `Shard` one file of it that is read by itself; they are imported when they are
asked for, as they bring pyarrow along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inbond.registry.registry import Registry
    from inbond.registry.shards.shard import Shard

__all__ = ["Registry", "Shard"]

_HOMES = {"Registry": "inbond.registry.registry", "Shard": "inbond.registry.shards.shard"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
