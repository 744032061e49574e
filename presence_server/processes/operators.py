"""What operators read of all processes together."""

import asyncio
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from presence_server.config import Config
from presence_server.keys import CONFIG
from presence_server.web.hosts import operators_only
from presence_server.web.middlewares import secure_headers

_PATIENCE = ClientTimeout(total=4)

# The number of a process, and where it alone answers: None while it is being started.
Places = Callable[[], Mapping[int, Path | None]]


def create_operators_app(config: Config, places: Places) -> web.Application:
    """The pages of one process, for all of them: metrics have a label `process`."""
    pages = _Pages(places)
    app = web.Application(middlewares=[operators_only])
    app[CONFIG] = config
    app.add_routes(
        [
            web.get("/metrics", pages.metrics),
            web.get("/readyz", pages.readyz),
            web.get("/roster", pages.roster),
        ]
    )
    app.on_response_prepare.append(secure_headers)
    return app


class _Pages:
    def __init__(self, places: Places) -> None:
        self._places = places

    async def metrics(self, request: web.Request) -> web.Response:
        answers = await self._ask_all("/metrics", {200})
        told = {number: answer[1] for number, answer in answers.items() if answer is not None}
        return web.Response(body=together(told), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def readyz(self, request: web.Request) -> web.Response:
        """Ready when all are."""
        reasons, degraded = [], False
        for number, answer in (await self._ask_all("/readyz", {200, 503})).items():
            if answer is None:
                reasons.append(f"Process {number} does not answer.")
                continue
            told = json.loads(answer[1])
            reasons += [f"Process {number}: {reason}" for reason in told["reasons"]]
            degraded |= told["degraded"]
        found = {"ready": not reasons, "reasons": reasons, "degraded": degraded}
        return web.json_response(found, status=503 if reasons else 200)

    async def roster(self, request: web.Request) -> web.Response:
        """Of the first that answers: each knows who is here on all."""
        asked = [
            asyncio.create_task(_ask(place, request.path_qs)) for place in self._places().values()
        ]
        try:
            for first in asyncio.as_completed(asked):
                answer = await first
                if answer is not None and answer[0] < 500:
                    status, text = answer
                    kind = "application/json" if status == 200 else "text/plain"
                    return web.Response(status=status, text=text, content_type=kind)
        finally:
            for other in asked:
                other.cancel()
        raise web.HTTPServiceUnavailable(text="No process answers.\n")

    async def _ask_all(
        self, path: str, statuses: Container[int]
    ) -> dict[int, tuple[int, str] | None]:
        """None also from one that answers with another status: what it says is anything."""
        places = self._places()
        answers = await asyncio.gather(*(_ask(place, path) for place in places.values()))
        return {
            number: answer if answer is not None and answer[0] in statuses else None
            for number, answer in zip(places, answers)
        }


async def _ask(place: Path | None, path: str) -> tuple[int, str] | None:
    """Status and text; None from one that does not answer now."""
    if place is None:
        return None
    try:
        async with (
            ClientSession(connector=UnixConnector(str(place)), timeout=_PATIENCE) as http,
            http.get(f"http://localhost{path}") as answer,
        ):
            return answer.status, await answer.text()
    except (ClientError, TimeoutError, OSError):
        return None


def together(told: Mapping[int, str]) -> bytes:
    """The metrics of several processes as one text, each sample with its process."""
    families: dict[str, Metric] = {}
    for number, text in told.items():
        for family in text_string_to_metric_families(text):
            into = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type)
            )
            for sample in family.samples:
                labels = {**sample.labels, "process": str(number)}
                into.samples.append(sample._replace(labels=labels))
    registry = CollectorRegistry()
    registry.register(_Collected(families.values()))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families

    def describe(self) -> list[Any]:
        # Or it would be collected once more when it is registered.
        return []
