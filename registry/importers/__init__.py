"""Importers: one file a format, and one table of them.

Made to be used so:

    inputs = [Input("answers.jsonl")]
    tally = Tally()
    for record in tally.over(importer("messages").records(inputs)):
        ...
"""

from inbond.registry.importers.alpaca import ALPACA
from inbond.registry.importers.anthropic import ANTHROPIC
from inbond.registry.importers.base import Importer, Option, Rejected
from inbond.registry.importers.chat_completions import CHAT_COMPLETIONS
from inbond.registry.importers.columns import COLUMNS
from inbond.registry.importers.completions import COMPLETIONS
from inbond.registry.importers.curator import CURATOR
from inbond.registry.importers.distilabel import DISTILABEL
from inbond.registry.importers.distillkit import DISTILLKIT
from inbond.registry.importers.gemini import GEMINI
from inbond.registry.importers.generator import ALPACA_EVAL
from inbond.registry.importers.inputs import Input
from inbond.registry.importers.llama_cpp import LLAMA_CPP
from inbond.registry.importers.messages import MESSAGES
from inbond.registry.importers.observed_lines import OBSERVED
from inbond.registry.importers.openai_batch import OPENAI_BATCH
from inbond.registry.importers.responses import RESPONSES
from inbond.registry.importers.sglang import SGLANG
from inbond.registry.importers.sharegpt import SHAREGPT
from inbond.registry.importers.tally import Tally
from inbond.registry.importers.tgi import TGI
from inbond.registry.importers.tinker import TINKER
from inbond.registry.importers.vllm import VLLM
from inbond.schemas.errors import NotFound

_OF_DATA_SETS = (MESSAGES, SHAREGPT, ALPACA, ALPACA_EVAL, DISTILABEL, CURATOR, DISTILLKIT, COLUMNS)
_OF_SERVICES = (CHAT_COMPLETIONS, RESPONSES, OPENAI_BATCH, COMPLETIONS, ANTHROPIC, GEMINI, TINKER)
_OF_ENGINES = (VLLM, SGLANG, TGI, LLAMA_CPP, OBSERVED)

IMPORTERS: dict[str, Importer] = {importer.name: importer for importer in (*_OF_DATA_SETS, *_OF_SERVICES, *_OF_ENGINES)}

__all__ = ["IMPORTERS", "Importer", "Input", "Option", "Rejected", "Tally", "importer"]


def importer(name: str) -> Importer:
    """The importer of this name. Raises NotFound, listing those that exist."""
    found = IMPORTERS.get(name)
    if found is None:
        raise NotFound(f"expected a format ({', '.join(IMPORTERS)}), found {name!r}")
    return found
