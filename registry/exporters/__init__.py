"""Exporters: one file a format, and one table of them. They read verified shards and leave the salts behind."""

from inbond.registry.exporters.base import Exporter, Readers, Source
from inbond.registry.exporters.distillkit import DISTILLKIT
from inbond.registry.exporters.messages import MESSAGES
from inbond.registry.exporters.parquet import PARQUET
from inbond.schemas.errors import NotFound

EXPORTERS: dict[str, Exporter] = {exporter.name: exporter for exporter in (MESSAGES, PARQUET, DISTILLKIT)}
"""By name."""

__all__ = ["EXPORTERS", "Exporter", "Readers", "Source", "exporter"]


def exporter(name: str) -> Exporter:
    """The exporter of this name. Raises NotFound, listing those that exist."""
    found = EXPORTERS.get(name)
    if found is None:
        raise NotFound(f"expected a format ({', '.join(EXPORTERS)}), found {name!r}", hint="inbond dataset export --list")
    return found
