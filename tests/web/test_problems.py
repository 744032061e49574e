import json

from presence_server.web.problems import Problem, problem_response


def test_a_problem_is_an_answer_for_programs_and_people() -> None:
    response = problem_response(Problem(403, "not_allowed", "The token does not open this room."))
    assert (response.status, response.content_type) == (403, "application/problem+json")
    assert response.text is not None
    assert json.loads(response.text) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "code": "not_allowed",
        "detail": "The token does not open this room.",
    }


def test_what_else_an_answer_must_say() -> None:
    assert Problem(401, "token_expired", "").headers() == {
        "WWW-Authenticate": 'Bearer error="invalid_token"'
    }
    assert Problem(429, "too_many", "", retry_after=0.2).headers() == {"Retry-After": "1"}
