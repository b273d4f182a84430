"""What an import says of its shards: what was measured of them, and what somebody declared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from inbond.registry.facts import fill, template, undeclared
from inbond.registry.importers import Importer
from inbond.registry.observing import Kept
from inbond.registry.opened import OpenRegistry
from inbond.registry.recorder import Said
from inbond.registry.shards.describing import ENGINE_KEY, engine_told
from inbond.registry.shards.logits_writer import WrittenLogits
from inbond.registry.shards.writer import WrittenShard
from inbond.schemas.columns import LOGITS_SCHEMA_ID, SCHEMA_ID
from inbond.schemas.declared import Declared, Reason, known, not_applicable, unknown
from inbond.schemas.scalars import EMPTY_LIST, ObjectList, Role
from inbond.schemas.statements import Basis, ModelRole, Shard, ShardCounts, ShardKind, ShardModel, Teacher, Tokens
from inbond.schemas.statements import Importer as ImporterId


@dataclass(frozen=True, slots=True)
class Told:
    """Whose outputs a shard holds, and its place: the import's identity, its ordinal there, the inputs it came from."""

    teacher: str
    identity: str
    ordinal: int
    inputs: ObjectList


class ImportSaid:
    """The shard statements of one import. `not_known` are the paths of facts that nobody declared."""

    def __init__(self, registry: OpenRegistry, format: Importer) -> None:
        self._registry, self._format = registry, format
        self._facts: dict[str, Any] = {}
        self.not_known: list[str] = []

    def declare(self, given: Mapping[str, Any], teacher: str) -> None:
        """Turn declared facts into fields of the shard statement, checked before anything is read."""
        models = (ShardModel(teacher=teacher, role=ModelRole.RESPONSE, rows=known(0)),)
        draft = fill(Shard, given, fixed=_MEASURED | {"models": models}, where="facts", resolve=self._resolve)
        names = [name for name in Shard.__struct_fields__ if name not in _MEASURED and name != "models"]
        self._facts = {name: getattr(draft, name) for name in names}
        self.not_known = [path for path in undeclared(draft) if path.partition(".")[0] in self._facts]

    def identity(self) -> dict[str, Any]:
        """The declared facts, as part of an import's identity."""
        return {name: msgspec.to_builtins(value) for name, value in self._facts.items()}

    def engine(self) -> dict[str, str]:
        """What answered, for the metadata of files of log-probabilities."""
        return {ENGINE_KEY: engine_told(self._facts["generator"])}

    def text(self, told: Told, shard: WrittenShard, rejected: Mapping[str, int]) -> Said:
        """A text shard, written from all records but those `rejected`, by reason, since the shard before."""
        received = shard.rows + sum(rejected.values())
        measured = {
            "kind": ShardKind.TEXT,
            "tokens": _tokens(shard),
            "schema_id": SCHEMA_ID,
            "counts": ShardCounts(received=received, kept=shard.rows, empty=shard.empty, rejected=dict(rejected)),
            "models": (ShardModel(teacher=told.teacher, role=ModelRole.RESPONSE, rows=known(shard.rows)),),
        }
        return self._said(told, shard, measured)

    def logits(self, told: Told, kept: Kept, text: str) -> Said:
        """A shard of log-probabilities about the rows of the shard `text`."""
        logits = kept.written
        measured = {
            "kind": ShardKind.LOGITS,
            "tokens": not_applicable(),  # they are counted where the text is
            "schema_id": LOGITS_SCHEMA_ID,
            "codec": logits.codec,
            "text_shard": text,
            "signal": kept.signal,
            "counts": ShardCounts(received=logits.rows, kept=logits.rows, empty=logits.empty, rejected={}),
            "models": (ShardModel(teacher=told.teacher, role=ModelRole.LOGITS, rows=known(logits.rows - logits.empty)),),
        }
        return self._said(told, logits, measured)

    def _said(self, told: Told, shard: WrittenShard | WrittenLogits, measured: Mapping[str, Any]) -> Said:
        body = Shard(
            **self._facts,
            **measured,
            file=shard.digest,
            size=shard.size,
            block_root=shard.block_root,
            record_root=shard.record_root,
            rows=shard.rows,
            importer=ImporterId(id=self._format.name, version=self._format.version),
            import_identity=told.identity,
            ordinal=told.ordinal,
            inputs=told.inputs,
            derived_from=EMPTY_LIST,
        )
        return Said("shard", body, [self._registry.keys.role(Role.PRODUCER)], basis=Basis.OBSERVED)

    def _resolve(self, _path: str, text: str) -> str:
        return self._registry.resolve(text)


def facts_template() -> str:
    """A TOML file of what can be declared about an import and, in the table `teacher`, about a teacher it creates."""
    about_teacher = template(Teacher, ("party", "model", "version", "same_as_student"))
    return (
        template(Shard, {*_MEASURED, "models"})
        + "\n# For a teacher that the import creates (--create); take the # before [teacher] away as well.\n#[teacher]\n"
        + about_teacher
    )


def _tokens(shard: WrittenShard) -> Declared[Tokens]:
    if shard.prompt_tokens is None and shard.response_tokens is None:
        return unknown(Reason.NOT_RECORDED_BY_SOURCE)
    sums = [
        unknown(Reason.NOT_RECORDED_BY_SOURCE) if n is None else known(n) for n in (shard.prompt_tokens, shard.response_tokens)
    ]
    return known(Tokens(tokenizer=unknown(Reason.NOT_RECORDED_BY_SOURCE), prompt=sums[0], response=sums[1]))


NOBODY = "teacher:" + "0" * 32
"""Whose outputs they are while the teacher is not on record yet."""

_NO_DIGEST = "sha256:" + "0" * 64
_MEASURED: dict[str, Any] = {
    "kind": ShardKind.TEXT,
    "file": _NO_DIGEST,
    "size": 0,
    "block_root": _NO_DIGEST,
    "record_root": _NO_DIGEST,
    "rows": 0,
    "tokens": unknown(),
    "schema_id": SCHEMA_ID,
    "codec": UNSET,
    "text_shard": UNSET,
    "signal": UNSET,
    "importer": ImporterId(id="none", version="none"),
    "import_identity": _NO_DIGEST,
    "ordinal": 0,
    "inputs": EMPTY_LIST,
    "counts": ShardCounts(received=0, kept=0, empty=0, rejected={}),
    "derived_from": EMPTY_LIST,
    "derivation": UNSET,
}
"""What is measured: not for anyone to declare, and not part of the identity."""
