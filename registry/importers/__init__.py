"""Importers: one file a format, and one table of them.

Made to be used so:

    inputs = [Input("answers.jsonl")]
    tally = Tally()
    for record in tally.over(importer("messages").records(inputs)):
        ...
"""

from inbond.registry.importers.alpaca import ALPACA
from inbond.registry.importers.base import Importer, Option, Rejected
from inbond.registry.importers.chat_completions import CHAT_COMPLETIONS
from inbond.registry.importers.generator import ALPACA_EVAL
from inbond.registry.importers.inputs import Input
from inbond.registry.importers.messages import MESSAGES
from inbond.registry.importers.tally import Tally
from inbond.schemas.errors import NotFound

IMPORTERS: dict[str, Importer] = {importer.name: importer for importer in (ALPACA, ALPACA_EVAL, MESSAGES, CHAT_COMPLETIONS)}

__all__ = ["IMPORTERS", "Importer", "Input", "Option", "Rejected", "Tally", "importer"]


def importer(name: str) -> Importer:
    """The importer of this name. Raises NotFound, listing those that exist."""
    found = IMPORTERS.get(name)
    if found is None:
        raise NotFound(f"expected a format ({', '.join(IMPORTERS)}), found {name!r}")
    return found
