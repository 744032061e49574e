"""docs/operations.md and the dashboard know every metric, and none that is not there."""

import json
import re
from collections.abc import Iterator

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from presence_server.resources import ROOT
from tests.conftest import ServerProcesses, Visit

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DASHBOARD = ROOT / "deploy" / "grafana.json"


async def exposition(server_process: ServerProcesses, visit: Visit) -> str:
    server = await server_process(admin_port=0)
    await visit(server, "alice")
    async with aiohttp.ClientSession() as http:
        return await (await http.get(f"{server.admin_url}/metrics")).text()


async def test_every_metric_has_its_row(server_process: ServerProcesses, visit: Visit) -> None:
    told = re.findall(r"^\| `(presence_\w+)` \|", OPERATIONS, re.MULTILINE)
    assert len(set(told)) == len(told)
    text = await exposition(server_process, visit)
    assert set(told) == set(_families(text))


def _families(text: str) -> Iterator[str]:
    for family in text_string_to_metric_families(text):
        if not family.name.endswith("_created"):
            yield family.name + ("_total" if family.type == "counter" else "")


async def test_the_dashboard_asks_for_what_there_is(
    server_process: ServerProcesses, visit: Visit
) -> None:
    asked = {
        name
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"presence_\w+", target["expr"])
    }
    assert len(asked) > 20
    text = await exposition(server_process, visit)
    there = set(_families(text))
    for family in text_string_to_metric_families(text):
        there.update(sample.name for sample in family.samples)
    assert asked <= there


def test_prometheus_scrapes_the_admin_port_of_the_unit() -> None:
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    unit = (ROOT / "deploy" / "presence-server.service").read_text()
    (port,) = re.findall(r"--admin-port=(\S+)", unit)
    (config,) = job["static_configs"]
    assert config["targets"] == [f"127.0.0.1:{port}"]


def test_alerts_name_metrics_that_have_a_row() -> None:
    rows = set(re.findall(r"^\| `(presence_\w+)` \|", OPERATIONS, re.MULTILINE))
    assert set(re.findall(r"`(presence_\w+)`", OPERATIONS)) <= rows
