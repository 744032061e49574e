"""The description of the API that is served."""

import json

from openapi_spec_validator import OpenAPIV31SpecValidator

from presence_server.resources import OPENAPI

DOCUMENT = json.loads(OPENAPI.read_text("utf-8"))


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_error_is_a_problem_and_every_operation_says_who_may() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            assert "security" in operation, path
            errors = [s for s in operation["responses"] if s >= "400"]
            assert path == "/openapi.json" or {"401", "429", "503"} <= set(errors)
    for response in DOCUMENT["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]
