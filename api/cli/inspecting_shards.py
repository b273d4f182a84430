"""What a Parquet file of ours holds: where it comes from, its columns and their sizes, and a few of its records.

What a registry has on record of a file with these bytes is *recorded*; what the file says of itself is *claimed*. Records are
those of the bytes that a statement names by their SHA-256 (*proved*), or of bytes that nothing on record names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inbond.api.cli.output import pairs, plural, style, table
from inbond.schemas.errors import InbondError, InvalidInput

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from inbond.registry.registry import Registry
    from inbond.schemas.statements import Codec, Shard

SHOWN = 3
_WIDTH = 60


@dataclass
class ShardFile:
    """A Parquet file, looked at. `data` is for --json, `lines` for people; `what` says what it is."""

    what: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def section(self, title: str, basis: str, lines: Iterable[str]) -> None:
        """Add lines below a title that says on whose word they stand."""
        shown = list(lines)
        if shown:
            self.lines += ["", f"{style(title, bold=True)} ({basis})", *(f"  {line}" for line in shown)]


def looked_at(path: Path, digest: str, registry: "Registry | None") -> ShardFile:
    """What the Parquet file `path`, of this SHA-256, is. A damaged one is said to be damaged; nothing is raised for it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from inbond.registry.importers import Input
    from inbond.registry.importers.table_limits import check_footer

    ref, body = _recorded(registry, digest)
    try:
        with Input(path).open_file() as file:
            check_footer(file)
        footer = pq.read_metadata(path)
        names, columns = footer.schema.to_arrow_schema().names, _columns(footer)
    except InbondError as error:
        return ShardFile("a damaged Parquet file", {"damage": error.message})
    except (pa.ArrowException, OSError, ValueError, MemoryError, KeyError, IndexError) as error:
        return ShardFile("a damaged Parquet file", {"damage": _first_line(error)})
    kind = _kind(names)
    pointers = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in (footer.metadata or {}).items()}
    ours = {key: value for key, value in sorted(pointers.items()) if key.startswith("inbond.")}
    found = ShardFile(_what(kind, ours), {"rows": footer.num_rows, "row_groups": footer.num_row_groups, "claimed": ours})
    if registry is not None and ref is not None and body is not None:
        _show_lineage(found, registry, ref, body)
    said = {key: _short(value) for key, value in ours.items()}
    if body is not None and body.codec:
        said |= dict.fromkeys(_as_stated(ours, footer, body), "as the statement says")
    found.section("what the file says of itself", "claimed", pairs(said.items(), whole=True))
    found.data["columns"] = columns
    rows = [
        (each["name"], each["type"], each["compression"], each["bytes"], each["plain_bytes"], each["share"]) for each in columns
    ]
    if kind is not None:
        texts = _texts(registry, body) if registry is not None and body is not None else ()
        _show_records(found, path, footer, kind, digest, body, texts)
    heads = ("column", "type", "compression", "bytes", "unpacked", "share")
    found.section("columns", "read from the footer", table(heads, rows, empty="no columns"))
    return found


def _kind(names: Sequence[str]) -> str | None:
    """Which kind of shard has these columns, None for no kind."""
    from inbond.schemas.columns import LOGITS_SCHEMA, TEXT_SCHEMA

    return {tuple(LOGITS_SCHEMA.names): "logits", tuple(TEXT_SCHEMA.names): "text"}.get(tuple(names))


def _what(kind: str | None, pointers: Mapping[str, object]) -> str:
    if kind is not None:
        return f"a {kind} shard, as far as its columns say"
    return "an export of rows of a shard, as far as it says itself" if "inbond.rows_of" in pointers else "a Parquet file"


def _recorded(registry: "Registry | None", digest: str) -> tuple[str | None, "Shard | None"]:
    """The statement about a file with this digest: its entry and signatures were checked before it is believed."""
    from inbond.registry.listing import ListedShard

    if registry is None:
        return None, None
    for item in registry.every(ListedShard, digest=f"sha256:{digest}"):
        return item.ref, registry.newest(item.ref).body
    return None, None


def _show_lineage(found: ShardFile, registry: "Registry", ref: str, body: "Shard") -> None:
    """Who made it, under which terms, from what, and in which datasets it is."""
    from inbond.registry.listing import ListedDataset, ListedTeacher

    teachers = {model.teacher: model.role.value for model in body.models}
    terms = {each: item.terms for each in teachers for item in registry.every(ListedTeacher, ref=each)}
    datasets = [item.name for item in registry.every(ListedDataset, shard=ref)]
    called = registry.called([*teachers, *(ref for some in terms.values() for ref in some)])
    made = [
        {"teacher": called[each], "role": role, "terms": [called[ref] for ref in terms[each]]} for each, role in teachers.items()
    ]
    said = [
        (f"{each['role']} by", f"{each['teacher']}, under {', '.join(each['terms']) or 'no terms on record'}") for each in made
    ]
    lineage = {
        "shard": ref,
        "entry": registry.thing(ref).entry,
        "kind": body.kind.value,
        "models": made,
        "importer": f"{body.importer.id} {body.importer.version}",
        "text_shard": body.text_shard or None,
        "signal": body.signal.value if body.signal else None,
        "derived_from": int(body.derived_from.count),
        "datasets": datasets,
    }
    found.what = f"a {body.kind.value} shard"
    found.data["recorded"] = lineage
    items = [
        (name.replace("_", " "), lineage[name]) for name in ("shard", "entry", "importer", "signal", "text_shard", "datasets")
    ]
    found.section("lineage", "recorded", pairs([*said, *items, *_codec_items(body)], whole=True))


def _codec_items(body: "Shard") -> list[tuple[str, object]]:
    """How log-probabilities are written, what they mean, and what gave them."""
    codec = body.codec
    if not codec:
        return []
    generator = body.generator.known
    return [
        ("codec", f"{codec.id} {codec.version}"),
        *((name.replace("_", " "), value) for name, value in sorted(codec.parameters.items())),
        ("vocabulary", codec.vocabulary),
        ("tokenizer", codec.tokenizer),
        ("log-probabilities", codec.logprob_kind.value),
        ("temperature", codec.temperature.value_or("not known")),
        ("truncated", _truncated(codec)),
        ("engine", generator.system_fingerprint.value_or("not known") if generator else "not known"),
    ]


def _truncated(codec: "Codec") -> str:
    """How the source had cut distributions."""
    cut = codec.truncation.known
    if not cut:
        return "not known"
    return ", ".join([cut.method.value, *(f"{name} {value}" for name, value in sorted(cut.parameters.items()))])


def _as_stated(told: Mapping[str, str], footer: "pq.FileMetaData", body: "Shard") -> list[str]:
    """What a file says of its log-probabilities in the words of its statement, which are shown already."""
    from inbond.registry.shards.describing import CODEC_KEY, ENGINE_KEY, engine_told

    same = {CODEC_KEY: _claimed_codec(footer) == body.codec, ENGINE_KEY: told.get(ENGINE_KEY) == engine_told(body.generator)}
    return [key for key, is_same in same.items() if is_same]


def _columns(footer: "pq.FileMetaData") -> list[dict[str, Any]]:
    """Each column with what it takes: bytes in the file, and unpacked."""
    types = [str(leaf) for field in footer.schema.to_arrow_schema() for leaf in _leaves(field.type)]
    found: dict[str, dict[str, Any]] = {}
    for index, leaf in enumerate(types):
        path = footer.schema.column(index).path
        found[path] = {"name": path.replace(".list.element", ""), "type": leaf, "compression": "", "encodings": []}
        found[path] |= {"bytes": 0, "plain_bytes": 0}
    for group in range(footer.num_row_groups):
        for index in range(footer.num_columns):
            chunk = footer.row_group(group).column(index)
            at = found[chunk.path_in_schema]
            at["compression"], at["encodings"] = chunk.compression.lower(), sorted({*at["encodings"], *chunk.encodings})
            at["bytes"] += chunk.total_compressed_size
            at["plain_bytes"] += chunk.total_uncompressed_size
    whole = sum(each["bytes"] for each in found.values()) or 1
    return [each | {"share": f"{each['bytes'] / whole:.1%}"} for each in found.values()]


def _leaves(kind: Any) -> list[Any]:
    """The types of the physical columns that hold a type, in their order."""
    inner = [kind.field(at).type for at in range(kind.num_fields)]
    return [leaf for each in inner for leaf in _leaves(each)] if inner else [kind]


def _texts(registry: "Registry", body: "Shard") -> tuple[bytes, ...]:
    """The texts of ids that are those of a table, where a registry of this machine has it; none of other ids."""
    from inbond.registry.importers.vocabulary import TokenTable

    if not body.codec or body.codec.parameters.get("ids") != "table" or not registry.is_local:
        return ()
    try:
        return TokenTable.read(registry.store.get(body.codec.tokenizer)).tokens
    except InbondError:
        return ()  # which `inbond verify` is about


def _show_records(
    found: ShardFile,
    path: Path,
    footer: "pq.FileMetaData",
    kind: str,
    digest: str,
    body: "Shard | None",
    texts: Sequence[bytes],
) -> None:
    """A few records, parsed within bounds, as the file may be anybody's."""
    try:
        if kind == "text":
            shown, lines = _text(path, footer, digest)
        else:
            shown, lines = _logits(path, footer, digest, body, found.data, texts)
    except InbondError as error:
        found.what = "a damaged shard"
        found.data["damage"] = error.message
        found.section("records", "not shown", [style(error.message, "red")])
        return
    found.data["shown"] = shown
    found.section("records", "proved: from the bytes that the statement names" if body is not None else "claimed", lines)


def _measured(path: Path, footer: "pq.FileMetaData", digest: str) -> dict[str, Any]:
    """What a reader is to hold the file to: what it is now. That these are the bytes of a statement, its digest says."""
    from inbond.registry.shards import blocks

    with path.open("rb") as file:
        hashes = blocks.block_hashes(file)
        size = file.tell()
    return {
        "digest": digest,
        "size": size,
        "block_root": blocks.block_root(hashes).hex(),
        "record_root": "0" * 64,  # records are looked at, not proved to be rows
        "rows": footer.num_rows,
        "leaf_hashes": blocks.join_hashes(hashes),
        "name": str(path),
    }


def _text(path: Path, footer: "pq.FileMetaData", digest: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The first records of a text shard."""
    from inbond.registry.shards.reader import ShardReader

    columns = ["record_id", "prompt", "response", "finish_reason"]
    with ShardReader(path.open("rb"), **_measured(path, footer, digest)) as reader:
        found = reader.read(columns, [range(min(SHOWN, reader.rows))]).to_pylist()
    rows = [
        (at, each["record_id"][:12], _short(each["prompt"][-1]["content"] if each["prompt"] else None), _short(each["response"]))
        for at, each in enumerate(found)
    ]
    shown = [
        {"row": at, "record_id": each["record_id"], "prompt": each["prompt"], "response": each["response"]}
        for at, each in enumerate(found)
    ]
    return shown, table(("row", "record id", "last turn of the prompt", "response"), rows, empty="no records")


def _logits(
    path: Path, footer: "pq.FileMetaData", digest: str, body: "Shard | None", data: dict[str, Any], texts: Sequence[bytes]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Bytes a token, and the first positions of a shard of log-probabilities, decoded as its statement or the file says."""
    import numpy as np

    from inbond.registry.shards.logits import LogitsCodec
    from inbond.registry.shards.logits_reader import LogitsReader

    codec = body.codec if body is not None and body.codec else _claimed_codec(footer)
    if codec is None:
        return [], ["nothing says how they are written: neither a statement nor the file itself"]
    with LogitsReader(path.open("rb"), **_measured(path, footer, digest), codec=LogitsCodec.of(codec)) as reader:
        positions = int(np.sum(reader.read(["n_pos"]).column("n_pos").to_numpy()))
        some = ((row, each, at) for row, each in enumerate(reader.distributions()) if each is not None for at in range(each.n))
        first = list(islice(some, SHOWN))
    data["positions"] = positions
    if positions:
        data["bytes_per_token"] = round(path.stat().st_size / positions, 2)
    if not first:
        return [], ["no log-probabilities"]
    shown, rows = [], []
    for row, of, at in first:
        position, count, said = of.first_pos + at, int(of.counts[at]), _known(of, at)
        start = int(np.sum(of.counts[:at]))
        entries = slice(start, start + min(SHOWN, count))
        best = [
            {"id": int(id), "logprob": _rounded(value)} for id, value in zip(of.ids[entries], of.logprobs[entries], strict=True)
        ]
        shown.append({"row": row, "position": position, "entries": count, "best": best, **said})
        listed = "  ".join(f"{_called(int(each['id']), texts)}:{each['logprob']:.3g}" for each in best)
        chosen, tail = (f"{said[name]:.3g}" if name in said else None for name in ("chosen", "tail"))
        rows.append((row, position, count, listed, chosen, said.get("rank"), tail))
    what = "text:nats" if texts else "id:nats"
    heads = ("row", "position", "entries", f"{what}, most likely first", "chosen", "rank", "tail")
    size = f"{plural(positions, 'position')}, {data['bytes_per_token']} bytes a token"
    return shown, [size, *table(heads, rows, empty="no positions")]


def _claimed_codec(footer: "pq.FileMetaData") -> "Codec | None":
    """The codec that a file itself names."""
    import msgspec

    from inbond.schemas.statements import Codec

    said = (footer.metadata or {}).get(b"inbond.codec")
    try:
        return None if said is None else msgspec.json.decode(said, type=Codec)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"codec in the file's metadata: expected one of ours, found: {error}") from None


def _known(found: Any, at: int) -> dict[str, Any]:
    """What is known of the token at a position, and of what lies outside its entries."""
    said: dict[str, Any] = {}
    for name in ("chosen", "tail"):
        value = float(getattr(found, name)[at])
        if value == value:
            said[name] = _rounded(value)
    return said | ({"rank": int(found.rank[at])} if found.rank[at] else {})


def _called(id: int, texts: Sequence[bytes]) -> str:
    """A token as its text where that is known, cut short; else its id."""
    return repr(_short(texts[id].decode(errors="backslashreplace"), 16)) if id < len(texts) else str(id)


def _rounded(value: float) -> float:
    """To six digits that say something, of a value near zero too; zero has no sign."""
    return float(f"{value:.6g}") or 0.0


def _short(text: str | None, width: int = _WIDTH) -> str | None:
    return text if text is None or len(text) <= width else text[: width - 1] + "…"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
