"""Errors of /api/v1: `application/problem+json` (RFC 9457)."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from aiohttp import web

API = "/api/v1"

_CODES = {
    400: "bad_request",
    401: "token_invalid",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    409: "full",
    413: "too_large",
    415: "not_json",
    421: "misdirected",
    426: "upgrade_required",
    429: "too_many",
    500: "error",
    503: "busy",
}


@dataclass(slots=True, eq=False)
class Problem(Exception):
    """Why a request is refused. `code` is for programs, `detail` a sentence for whoever wrote one.

    `retry_after` is in seconds.
    """

    status: int
    code: str
    detail: str
    retry_after: float = 0

    # What a token or key lacks is said to programs in a header, too.
    _CHALLENGE: ClassVar[str] = 'Bearer error="invalid_token"'

    def headers(self) -> dict[str, str]:
        headers = {}
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = self._CHALLENGE
        if self.retry_after:
            headers["Retry-After"] = str(math.ceil(self.retry_after))
        return headers


def is_of_api(path: str) -> bool:
    return path == API or path.startswith(f"{API}/")


def problem_of(status: int, detail: str) -> Problem:
    """A refusal that does not come from the API itself."""
    return Problem(status, _CODES.get(status, "error"), detail)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
    }
    return web.Response(
        text=json.dumps(body),
        status=problem.status,
        content_type="application/problem+json",
        headers={**problem.headers(), **(headers or {})},
    )
