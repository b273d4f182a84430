"""The OpenAPI document against the server: every operation, with a token and without, with requests that fit and that do not."""

import json
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable as NoExamples
from schemathesis import Case, GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from inbond.api import problems
from inbond.schemas import errors
from tests.api.http.samples import sample
from tests.api.http.serving import Server, problem
from tests.api.http.test_access import EXPECTED


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    return server.json("/v1/schema/openapi.json")


@pytest.fixture(scope="module")
def api(server: Server) -> BaseSchema:
    found = schemathesis.openapi.from_url(f"{server.url}/v1/schema/openapi.json")
    found.config.update(base_url=server.url)
    return found


FEW = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
ALIKE = re.compile(r"/v1/(?!students|shards|keys)[a-z]+(/\{id\}(/statement|/lineage)?)?")
"""The paths of collections whose routes are made as those of students are: a look at each will do."""

MEANT = [positive_data_acceptance]
"""What fits the document may still be wrong: a page token of another list, an envelope that nobody signed."""

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.mark.parametrize(("method", "path"), sorted(EXPECTED))
def test_every_operation_does_what_the_document_says(server: Server, api: BaseSchema, method: str, path: str) -> None:
    """With a token that may call it and without any, with requests that fit the document and with others."""
    operation = api[path][method]
    roles = EXPECTED[method, path]
    known = {"Authorization": f"Bearer {server.tokens[sorted(roles)[0] if roles else 'auditor']}"}
    for mode in MODES:

        @settings(FEW, max_examples=2 if ALIKE.fullmatch(path) else 3)
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Case) -> None:
            for headers in (known, {}):
                answer = case.call(headers=headers)
                assert answer.status_code < 500 or (answer.status_code == 503 and path.startswith("/health/"))
                if answer.status_code != 413:  # right, though no check of theirs knows it
                    case.validate_response(answer, headers=headers, excluded_checks=MEANT)

        try:
            check()
        except NoExamples:
            assert mode is GenerationMode.NEGATIVE


def test_the_document_names_every_route(server: Server, document: Any) -> None:
    found = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert found == set(EXPECTED)


def test_a_route_knows_the_query_parameters_of_the_document_and_no_others(server: Server, document: Any) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            wanted = sorted(each["name"] for each in operation.get("parameters", ()) if each["in"] == "query")
            roles = EXPECTED[method.upper(), path]
            asked = sample(server, method.upper(), path)
            options = {**asked.options, "params": {**asked.options.get("params", {}), "who": "me"}}
            found = server.ask(method.upper(), asked.path, min(roles) if roles else None, **options)
            detail = problem(found, 400, "invalid-input")["detail"]
            assert detail == f"expected query parameters among {', '.join(wanted) or 'none'}, found 'who'"


def test_every_operation_is_described(document: Any) -> None:
    ids = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            ids.add(operation["operationId"])
            assert operation["description"].strip().endswith((".", "problem.")), where
            assert operation["tags"], where
            assert operation["summary"], where
            required = [{"token": []}] if EXPECTED[method.upper(), path] is not None else [{}, {"token": []}]
            assert operation["security"] == required, where
            assert ("requestBody" in operation) == (method in ("post", "put")), where
            success = min(operation["responses"])
            assert operation["responses"][success]["content"], where
    assert len(ids) == sum(len(item) for item in document["paths"].values())


def test_every_problem_has_an_example(document: Any) -> None:
    shared = document["components"]["responses"]
    seen = set()
    for response in shared.values():
        [(media, content)] = response["content"].items()
        assert media == "application/problem+json"
        for name, example in content["examples"].items():
            seen.add(name)
            assert set(example) == {"summary", "value"}
            assert example["value"]["type"].startswith("urn:inbond:problem:")
    kinds = {errors.InbondError, *_below(errors.InbondError)} - {errors.Inconclusive, problems.ClientLeft}
    assert seen == {kind.__name__ for kind in kinds if kind.__module__.startswith("inbond.") and kind.__name__ in seen}
    assert {"InvalidInput", "NotFound", "Unauthenticated", "PolicyDenied", "RangeNotSatisfiable", "TooLarge"} <= seen


def _below(kind: type[Any]) -> set[type[Any]]:
    return {each for sub in kind.__subclasses__() for each in (sub, *_below(sub))}


def test_the_document_is_of_a_size_that_people_load(document: Any) -> None:
    assert len(json.dumps(document)) < 300_000
