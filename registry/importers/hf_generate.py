"""What `generate` of Hugging Face transformers returns, as records with log-probabilities: no file, a call.

    out = model.generate(**inputs, return_dict_in_generate=True, output_logits=True)
    found = from_generate(out.sequences, out.logits, inputs["input_ids"].shape[1], texts=tokenizer.batch_decode(...), k=64)

`logits` are the model's own (raw), `scores` what was left after logits processors (processed): an import says which. Tensors
come as numpy arrays or as anything that numpy can read; torch is not needed, and a tensor on a device is to be moved first.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.observed import ABSENT, Observed, TokenLogprobs
from inbond.registry.shards.distributions import Selection
from inbond.registry.shards.records import Message, Record
from inbond.schemas.errors import InvalidInput


def from_generate(
    sequences: Any,
    steps: Sequence[Any],
    prompt_length: int,
    *,
    texts: Sequence[str],
    prompts: Sequence[Sequence[Message]] | None = None,
    k: int = 64,
    end_of_text: int | Sequence[int] | None = None,
    padding: int | None = None,
    per_prompt: int = 1,
) -> list[Observed]:
    """A record for each sequence.

    `sequences` are ids [B, prompt_length + T], `steps` T arrays [B, V] of logits or scores, in nats up to a constant (they are
    normalised here); -inf is what a processor ruled out. `texts` are the B responses, `prompts` what was asked.
    A sequence ends with the first of `end_of_text`; `padding` is cut off the left of a prompt. Of `per_prompt` successive
    sequences each is a further sample. Raises InvalidInput for shapes that do not fit, for NaN and for ids beyond V.
    """
    ids = _array(sequences)
    batch = len(ids)
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or prompt_length < 0 or ids.shape[1] != prompt_length + len(steps):
        raise InvalidInput(
            f"sequences: expected integer ids [B, {prompt_length} + {len(steps)}], found shape {ids.shape} of {ids.dtype}"
        )
    if len(texts) != batch or (prompts is not None and len(prompts) != batch) or k < 1 or per_prompt < 1:
        raise InvalidInput(f"texts: expected {batch}, one a sequence, found {len(texts)}")
    tops = [_top(_array(step), place, batch, k, ids[:, prompt_length + place]) for place, step in enumerate(steps)]
    ends = set([end_of_text] if isinstance(end_of_text, int) else end_of_text or ())
    return [
        _observed(
            ids[row],
            [tuple(part[row] for part in top) for top in tops],
            prompt_length,
            Record(
                prompt=None if prompts is None else tuple(prompts[row]),
                own_turns=(),
                response=texts[row],
                sample=row % per_prompt,
            ),
            ends,
            padding,
        )
        for row in range(batch)
    ]


def _array(values: Any) -> NDArray[Any]:
    if getattr(values, "dtype", None) is not None and "bfloat16" in str(values.dtype):
        values = values.float()  # numpy has no such type
    detach = getattr(values, "detach", None)
    return np.asarray(values if detach is None else detach())


def _top(step: NDArray[Any], place: int, batch: int, k: int, tokens: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """(ids [B, k], log-probabilities [B, k], log-probability [B] and rank [B] of the tokens) of one step."""
    if step.ndim != 2 or len(step) != batch or step.dtype.kind != "f":
        raise InvalidInput(f"steps[{place}]: expected floats [{batch}, V], found shape {step.shape} of {step.dtype}")
    values = step.astype(np.float64)
    if np.isnan(values).any() or (values == np.inf).any():
        raise InvalidInput(f"steps[{place}]: expected logits or scores, found NaN or infinity")
    if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < values.shape[1]:
        raise InvalidInput(f"sequences: expected token ids below {values.shape[1]}, found {int(tokens.max())}")
    highest = values.max(axis=1, keepdims=True)
    if (highest == -np.inf).any():
        raise InvalidInput(f"steps[{place}]: expected a token that is possible, found -inf for all of them")
    values = values - highest
    values -= np.log(np.exp(values).sum(axis=1, keepdims=True))
    k = min(k, values.shape[1])
    best = np.argpartition(-values, k - 1, axis=1)[:, :k]
    kept = np.take_along_axis(values, best, axis=1)
    order = np.argsort(-kept, axis=1, kind="stable")
    own = np.take_along_axis(values, tokens.astype(np.int64)[:, None], axis=1)
    ranks = 1 + (values > own).sum(axis=1)
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(kept, order, axis=1), own[:, 0], ranks


def _observed(
    ids: NDArray[Any],
    tops: list[tuple[Any, ...]],
    prompt_length: int,
    record: Record,
    ends: set[int],
    padding: int | None,
) -> Observed:
    wrote = ids[prompt_length:].tolist()
    size = next((place + 1 for place, token in enumerate(wrote) if token in ends), len(wrote))
    before = ids[:prompt_length].tolist()
    while before and before[0] == padding:
        before.pop(0)
    tokens, tops = wrote[:size], tops[:size]
    there = [top[1] > ABSENT for top in tops]
    found = None
    if tokens:
        found = TokenLogprobs(
            tokens=tokens,
            chosen=[float(top[2]) if top[2] > ABSENT else None for top in tops],
            counts=[int(kept.sum()) for kept in there],
            alternatives=[token for top, kept in zip(tops, there, strict=True) for token in top[0][kept].tolist()],
            logprobs=[value for top, kept in zip(tops, there, strict=True) for value in top[1][kept].tolist()],
            ranks=[int(top[3]) for top in tops],
            before=before,
            selection=Selection.TOPK,
        )
    counted = msgspec.structs.replace(
        record, input_ids=(*before, *tokens), prompt_tokens=len(before), response_tokens=len(tokens)
    )
    return Observed(counted, found)
