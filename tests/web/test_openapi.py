"""The description of the API that is served."""

import json

from openapi_spec_validator import OpenAPIV31SpecValidator

from presence_server.apps.saying import LONGEST_LINE_NAME
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


def test_what_names_a_line_and_what_is_for_the_whole_user_are_described() -> None:
    said = DOCUMENT["components"]["schemas"]["Said"]["properties"]
    assert said["scope"]["enum"] == ["user"]
    of_a_stream = {
        parameter.get("name"): parameter["schema"]
        for parameter in DOCUMENT["paths"]["/rooms/{room}"]["get"]["parameters"]
        if "schema" in parameter
    }
    for line in (said["line"], of_a_stream["line"]):
        assert (line["type"], line["minLength"], line["maxLength"]) == (
            "string", 1, LONGEST_LINE_NAME
        )
    assert set(said) == {"status", "scope", "text", "until", "data", "leave", "line"}
