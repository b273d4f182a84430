import re
from importlib import resources
from typing import Any

import msgspec
import pytest

from inbond.schemas import generate
from inbond.schemas.kinds import KINDS
from tests.schemas import examples

DOCUMENTS = {name: msgspec.json.decode(text) for name, text in generate.documents().items()}


def nodes(value: Any):
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(item)


def test_the_files_are_those_that_the_structs_make():
    folder = resources.files("inbond.schemas.json")
    on_disk = {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.name.endswith(".json")}
    assert on_disk == generate.documents(), "run: python -m inbond.schemas.generate"


def test_every_kind_has_a_file():
    assert {f"{name}.json" for name in KINDS} | {"entry.json", "request.json", "lines.json"} == set(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_references_lead_somewhere_and_objects_are_closed(name):
    document = DOCUMENTS[name]
    for node in nodes(document):
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            assert node["$ref"].removeprefix("#/$defs/") in document["$defs"]
        if isinstance(node, dict) and node.get("type") == "object" and "properties" in node:
            assert node["additionalProperties"] is False


@pytest.mark.parametrize("name", DOCUMENTS)
def test_patterns_mean_the_same_in_other_languages(name):
    for node in nodes(DOCUMENTS[name]):
        if isinstance(node, dict) and isinstance(node.get("pattern"), str):
            assert not re.search(r"\\[dwAZ]|\(\?[^:=!]|\$\Z", node["pattern"]), node["pattern"]


def test_a_fact_is_one_of_three_objects_of_one_member():
    document = DOCUMENTS["ack.json"]
    occurred = document["$defs"]["Header"]["properties"]["occurred"]
    choices = [document["$defs"].get(each.get("$ref", "")[8:], each) for each in occurred["oneOf"]]
    assert [(list(each["properties"]), each["required"]) for each in choices] == [
        (["known"], ["known"]),
        (["na"], ["na"]),
        (["unknown"], ["unknown"]),
    ]


@pytest.mark.parametrize("key", examples.VARIANTS)
def test_examples_fit_their_schema(key):
    plain, body = key.partition("/")[0], examples.VARIANTS[key]
    document = DOCUMENTS[plain.partition(".")[0] + ".json"]
    instance = msgspec.json.decode(examples.payload(plain, body))
    assert fits(instance, document, document["$defs"])
    assert not fits(instance | {"surplus": 1}, document, document["$defs"])
    instance["predicate"]["header"]["occurred"] |= {"unknown": "lost", "na": "lost"}
    assert not fits(instance, document, document["$defs"])


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def fits(value: Any, schema: Any, defs: dict[str, Any]) -> bool:
    """The part of JSON Schema that the files use; a keyword beyond it is an error, so nothing passes unread."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    text, number = isinstance(value, str), isinstance(value, int) and not isinstance(value, bool)
    checks = [
        "$ref" not in schema or fits(value, defs[schema["$ref"].removeprefix("#/$defs/")], defs),
        "anyOf" not in schema or any(fits(value, each, defs) for each in schema["anyOf"]),
        "oneOf" not in schema or sum(fits(value, each, defs) for each in schema["oneOf"]) == 1,
        "enum" not in schema or value in schema["enum"],
        "type" not in schema or (number if schema["type"] == "integer" else isinstance(value, TYPES[schema["type"]])),
        not text or schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)),
        not text or re.search(schema.get("pattern", ""), value) is not None,
        not number or schema.get("minimum", value) <= value <= schema.get("maximum", value),
    ]
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        checks += [schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))]
        checks += [fits(item, each, defs) for item, each in zip(value, first, strict=False)]
        checks += [fits(item, schema["items"], defs) for item in value[len(first) :] if "items" in schema]
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        checks += [name in value for name in schema.get("required", ())]
        checks += [fits(value[name], each, defs) for name, each in known.items() if name in value]
        rest = [item for name, item in value.items() if name not in known]
        checks += [others is not False or not rest, len(value) <= schema.get("maxProperties", len(value))]
        checks += [fits(item, others, defs) for item in rest if isinstance(others, dict)]
        names = schema.get("propertyNames", {})
        checks += [fits(name, names, defs) for name in value]
    return all(checks)


KNOWN = {
    *("$schema", "$id", "$defs", "$ref", "anyOf", "oneOf", "enum", "type", "title", "description", "discriminator"),
    *("minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems", "prefixItems", "items"),
    *("properties", "required", "additionalProperties", "propertyNames", "maxProperties"),
}
