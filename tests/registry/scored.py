"""Texts with token ids, and what teachers said of them, put on record by hand."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbond.registry.shards.distributions import Distributions, Selection, from_dense
from inbond.registry.shards.logits import Level, LogitsCodec
from inbond.registry.shards.logits_writer import LogitsWriter
from inbond.registry.shards.records import Message, Record, record_id
from inbond.registry.shards.writer import write_shard
from inbond.schemas.columns import LOGITS_SCHEMA_ID
from inbond.schemas.declared import known, unknown
from inbond.schemas.statements import LogprobKind, ModelRole, PartLine, ShardKind, ShardModel, Signal
from tests.registry.world import World

VOCABULARY = 130
ROWS = 24


def said_about(tokens: NDArray[np.uint32], first: int, seed: int, **how: Any) -> Distributions:
    """What a teacher said of the tokens from `first` on."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(len(tokens) - first, VOCABULARY)) * 3
    logprobs = (raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))).astype(np.float32)
    return from_dense(logprobs, tokens, first, **({"selection": Selection.NUCLEUS, "p": 0.9, "cap": 20} | how))


class Scored:
    """A text shard with token ids, and beside it what a teacher said of some of them: rows 3, 10, 17 have nothing."""

    def __init__(self, world: World, name: str, *, whole: bool = False, **codec: Any) -> None:
        self.world, self.name = world, name
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        rng = np.random.default_rng(seed)
        self.tokens = [
            rng.integers(0, VOCABULARY, 1 if at == 5 else int(rng.integers(2, 30))).astype(np.uint32) for at in range(ROWS)
        ]
        self.records = [
            Record(prompt=(Message("user", f"{name} {at}?"),), own_turns=(), response=f"{at}", input_ids=tuple(map(int, tokens)))
            for at, tokens in enumerate(self.tokens)
        ]
        self.found = [
            None
            if (at == 5 if whole else at % 7 == 3)
            else said_about(tokens, 1 if whole else int(rng.integers(0, len(tokens))), seed + at)
            for at, tokens in enumerate(self.tokens)
        ]
        self.text = self._put(write_shard(world.registry.store, self.records), 0)
        self.codec = codec

    def logits(self, signal: Signal = Signal.SCORED, tokens: Sequence[NDArray[np.uint32]] | None = None) -> str:
        """The shard of log-probabilities, on record; `tokens` are others than those of the text."""
        fields: dict[str, Any] = {
            "level": Level.EXACT,
            "selection": Selection.NUCLEUS,
            "vocabulary": VOCABULARY,
            "tokenizer": "sha256:" + "1" * 64,
            "ids": "observed",
            "positions": "sequence",
            "logprob_kind": LogprobKind.RAW,
            "temperature": known("1"),
            "truncation": unknown(),
        }
        codec = LogitsCodec(**(fields | self.codec))
        with LogitsWriter(self.world.registry.store, codec, metadata={}) as writer:
            for record, found, ids in zip(self.records, self.found, tokens or self.tokens, strict=True):
                said = None if found is None else changed(found, input_ids=ids)
                writer.add(record_id(record), said)
            written = writer.finish()
        assert written is not None
        ordinal = 1 + list(Signal).index(signal)
        return self._put(written, ordinal, kind=ShardKind.LOGITS, codec=written.codec, text_shard=self.text, signal=signal)

    def dataset(self, *logits: str) -> str:
        """A version of the text with these beside it."""
        line = PartLine(shard=self.text, rows=((0, ROWS),), split="train", count=ROWS, logits=logits)
        body = self.world.dataset_body(self.name, [(self.text, 0, ROWS)], parts=self.world.registry.store.put_lines([line]))
        self.world.put("dataset", body, "producer")
        return self.name

    def _put(self, written: Any, ordinal: int, **fields: Any) -> str:
        role = ModelRole.LOGITS if fields else ModelRole.RESPONSE
        models = (ShardModel(teacher=self.world.ref("acme/base@1"), role=role, rows=known(ROWS)),)
        fields |= {name: getattr(written, name) for name in ("size", "block_root", "record_root", "rows")}
        if "kind" in fields:
            fields["schema_id"] = LOGITS_SCHEMA_ID
        identity = f"sha256:{hashlib.sha256(self.name.encode()).hexdigest()}"
        changes = {"file": written.digest, "models": models, "import_identity": identity, "ordinal": ordinal}
        return self.world.put("shard", self.world.changed(self.world.parts("chat")[0][0], **changes, **fields), "producer")


def changed(found: Distributions, **fields: Any) -> Distributions:
    return Distributions(**({name: getattr(found, name) for name in Distributions.__slots__} | fields))
