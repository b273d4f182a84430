"""The subject: teachers, terms, shards, datasets, students, runs; lineage and training. Knows no HTTP server.

`Registry` is the one object that people hold; it is imported when it is asked for, as it brings pyarrow along.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inbond.registry.registry import Registry

__all__ = ["Registry"]


def __getattr__(name: str) -> Any:
    if name == "Registry":
        from inbond.registry.registry import Registry

        return Registry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
