"""JSON Schema (2020-12) of everything that is signed, made from the structs: `python -m inbond.schemas.generate`.

One file a kind describes the whole statement; `entry.json` the ledger's entries, `request.json` what a run key signs to
be granted reading, `lines.json` the lines of the lists that statements name. The structs say more than JSON Schema can
(canonical bytes, digests that must agree, ranges in order); what validates here may still be refused.
"""

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from inbond.schemas import scalars, statement
from inbond.schemas.entry import Entry
from inbond.schemas.kinds import KINDS
from inbond.schemas.statements import GrantRequest, lines

FOLDER = Path(__file__).parent / "json"

_NAMED = (
    "Time",
    "Moment",
    "Hex32",
    "HexId",
    "Digest",
    "Ref",
    "Count",
    "Decimal",
    "Number",
    "Label",
    "Token",
    "Origin",
    "Vkey",
    "Base64",
    "Url",
    "MediaType",
    "Language",
    "Territory",
    "Parameters",
    "Counts",
)
_REF = "#/$defs/{name}"


def documents() -> dict[str, str]:
    """The text of every schema file, by file name."""
    made = {f"{name}.json": _document(statement.wire_type(name), f"urn:inbond:{name}:v1") for name in KINDS}
    made["entry.json"] = _document(Entry, "urn:inbond:schema:entry:v1")
    made["request.json"] = _document(GrantRequest, "urn:inbond:schema:request:v1")
    every_line = [value for name, value in vars(lines).items() if name.endswith("Line")]
    made["lines.json"] = _document(every_line, "urn:inbond:schema:lines:v1")
    return {name: json.dumps(made[name], indent=1, sort_keys=True, ensure_ascii=False) + "\n" for name in sorted(made)}


def main() -> None:
    """Write the files and remove those that no struct stands behind any more."""
    texts = documents()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    for path in FOLDER.glob("*.json"):
        if path.name not in texts:
            path.unlink()


def _document(type: Any, id: str) -> dict[str, Any]:
    types = type if isinstance(type, list) else [type]
    roots, parts = msgspec.json.schema_components(types, ref_template=_REF)
    parts |= {name: msgspec.json.schema(getattr(scalars, name)) for name in _NAMED}
    parts |= {"NotApplicable": _single("na", {"$ref": _def("Reason")}), "NotKnown": _single("unknown", {"$ref": _def("Reason")})}
    names = {json.dumps(parts[name], sort_keys=True): name for name in _NAMED}
    defs = {name: _tidy(part, parts, names, name) for name, part in parts.items() if not name.startswith("Declared_")}
    root: dict[str, Any] = roots[0] if len(roots) == 1 else {"anyOf": list(roots)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        **root,
        "$defs": {name: defs[name] for name in _reached(root, defs)},
    }


def _tidy(part: Any, parts: dict[str, Any], names: dict[str, str], own_name: str = "") -> Any:
    """Name the scalars, write tri-state facts as `oneOf`, and undo the indentation of docstrings."""
    if isinstance(part, list):
        return [_tidy(item, parts, names) for item in part]
    if not isinstance(part, dict):
        return part
    scalar = names.get(json.dumps(part, sort_keys=True))
    if scalar is not None and scalar != own_name:
        return {"$ref": _def(scalar)}
    target = str(part.get("$ref", "")).removeprefix(_def(""))
    if target.startswith("Declared_"):
        value = _tidy(parts[target]["properties"]["known"], parts, names)
        return {"oneOf": [_single("known", value), {"$ref": _def("NotApplicable")}, {"$ref": _def("NotKnown")}]}
    tidied = {key: _tidy(item, parts, names) for key, item in part.items()}
    if isinstance(part.get("description"), str):
        tidied["description"] = inspect.cleandoc(part["description"])
    if own_name == "Key":
        tidied["oneOf"] = [{"required": ["public_key"]}, {"required": ["vkey"]}]
    return tidied


def _single(name: str, value: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}


def _def(name: str) -> str:
    return _REF.format(name=name)


def _reached(root: Any, defs: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            target = part.get("$ref")
            if isinstance(target, str) and (name := target.removeprefix(_def(""))) not in found:
                found.add(name)
                waiting.append(defs[name])
    return found


if __name__ == "__main__":
    main()
