"""That the comparison compares, on so few people that it is quick, and says what it found."""

import json
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import beyond, figures, report
from benchmarks.bare import frame, replay
from benchmarks.compare import ALONE, Plan, Run, install
from benchmarks.dialects import SOCKET_IO, changes_in, speak
from benchmarks.drawing import Chart, Series, fit, ticks
from benchmarks.fanout import Load, Result, Stage
from benchmarks.growth import Nodes
from benchmarks.peers.environments import PEERS, CannotInstall, Peer
from benchmarks.report import Cell, Comparison, trouble_in
from benchmarks.servers import SERVERS, Server, redis_server
from testing.swarm import Swarm

TINY = Plan(
    observers=(10,),
    crowd=(),
    changes=(20,),
    seconds={20: 1.0},
    further=(),
    accounts=(10,),
    nodes=(2,),
    audience=10,
    stay=0.3,
    quiet=0.5,
)
RESULT = Result(
    server="ours",
    observers=10_000,
    changes=100,
    connected=10_000,
    connect_seconds=5.0,
    rest_seconds=6.0,
    cpu_per_delivery_us=0.5,
    cpu_share=0.5,
    redis_cpu_share=0.01,
    deliveries_per_second=1e6,
    p50_ms=200.0,
    p99_ms=480.0,
    max_ms=510.0,
    expected=1_000_000,
    lost=0,
    repeated=0,
    disconnected=0,
    kib_per_connection=19.0,
    client_cpu_share=0.6,
    client_longest_pass_ms=50.0,
    failures={},
)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        yield Stage(Path(folder), redis)


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that a run writes into."""
    for module, name, original in (
        (report, "PAGE", report.PAGE),
        (beyond, "PAGE", beyond.PAGE),
        (figures, "README", figures.README),
    ):
        copy = tmp_path / original.name
        copy.write_text(original.read_text())
        monkeypatch.setattr(module, name, copy)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "comparison.json")
    monkeypatch.setattr(figures, "COMPARISON", tmp_path / "comparison.json")
    monkeypatch.setattr(report, "PICTURES", tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_run_measures_ours_the_limit_and_the_growth(stage: Stage, documents: Path) -> None:
    comparison = Comparison()
    Run(stage, TINY, comparison).all([ALONE])
    (cell,) = comparison.cells
    assert cell.result is not None and cell.result.lost == 0 and cell.trouble is None
    (limit,) = comparison.limits
    assert limit.writes >= 10 and 0 < limit.cpu_seconds < limit.seconds
    assert [point.accounts for point in comparison.accounts] == [10]
    (nodes,) = comparison.nodes
    assert (nodes.nodes, nodes.lost) == (2, 0) and nodes.letters > 0
    report.write(comparison)
    page = (documents / "benchmarks.md").read_text()
    assert "#### 10 observers, 20 changes a second" in page and "the bare loop" in page
    assert "between two flushes" in (documents / "beyond-one-machine.md").read_text()
    assert json.loads((documents / "comparison.json").read_text())["nodes"][0]["nodes"] == 2
    for name in ("observers", "delay", "accounts", "nodes"):
        ElementTree.parse(documents / f"growth-{name}.svg")
        assert f"pictures/growth-{name}.svg" in page
    assert "what more of them cost is not known" in page, "one number of nodes shows no growth"


def test_a_server_that_fails_does_not_end_the_run(stage: Stage) -> None:
    comparison = Comparison()
    command = ("-c", "raise SystemExit('no luck')")
    ends = Server("plain", command, ("-c", "pass"), interpreter=(sys.executable,))
    plan = replace(TINY, changes=(8, 20), seconds={8: 1.0, 20: 1.0}, accounts=(), nodes=())
    Run(stage, plan, comparison).all([ends])
    first, second = comparison.cells
    assert first.trouble == "it did not start: no luck"
    assert (first.result, second.result) == (None, None)
    assert "broken down" in report.document(comparison)


def test_who_has_broken_down_is_not_asked_for_more(stage: Stage) -> None:
    comparison = Comparison()
    comparison.cells.append(Cell("plain", 1000, 100, "p99 9 s"))
    run = Run(stage, TINY, comparison)

    def excused(name: str, observers: int, changes: float) -> bool:
        return run._excused(SERVERS[name], Load(observers, changes))

    assert excused("plain", 1000, 100) and excused("plain", 2000, 100)
    assert comparison.cells[-1].trouble == "broke down at 1,000 x 100/s"
    assert not excused("plain", 2000, 8)
    assert not excused("ours", 2000, 100)


def test_a_late_run_begins_no_further_server(stage: Stage) -> None:
    comparison = Comparison()
    Run(stage, replace(TINY, enough=-1.0), comparison).all([ALONE])
    (cell,) = comparison.cells
    assert cell.trouble == "not measured: the time for the run was over"
    assert comparison.nodes == []


def test_trouble_is_named() -> None:
    assert trouble_in(RESULT) is None
    assert trouble_in(replace(RESULT, lost=10_000)) is None
    assert trouble_in(replace(RESULT, lost=20_000)) == "2 % of the sightings lost"
    assert trouble_in(replace(RESULT, p99_ms=7100.0)) == "p99 7 s"
    assert trouble_in(replace(RESULT, p99_ms=float("inf"))) == "p99 inf s"
    assert trouble_in(replace(RESULT, disconnected=3)) == "3 were cut off"
    assert trouble_in(replace(RESULT, failures={"not let in": 2})) == "probes met: 2 x not let in"


def test_the_report_says_where_others_are_ahead() -> None:
    faster = replace(RESULT, server="ws", p50_ms=20.0, kib_per_connection=30.0)
    broken = replace(RESULT, server="plain", p50_ms=1.0, p99_ms=9000.0)
    comparison = Comparison(cells=[Cell.of(RESULT), Cell.of(faster), Cell.of(broken)])
    comparison.absent["socket.io"] = "It needs node, which is not on the PATH."
    text = report.document(comparison)
    behind = text.partition("### Where we are not ahead")[2].partition("###")[0]
    assert behind.split("\n- ")[1:] == [
        "10,000 observers, 100/s, p50 ms: Node `ws`, Redis 20, ours 200\n\n"
    ]
    assert "not measured. It needs node" in text
    assert "**broken down:** p99 9 s" in text


def test_what_never_happened_can_be_written_down() -> None:
    silent = replace(RESULT, p50_ms=float("inf"), p99_ms=float("inf"), max_ms=float("inf"))
    comparison = Comparison(cells=[Cell.of(silent)])
    assert json.loads(report.encode(comparison))["cells"][0]["result"]["p99_ms"] is None
    assert "| never |" in report.document(comparison)


def test_the_bare_loop_writes_what_was_recorded_to_all() -> None:
    said = b'{"type": "changes", "online": {"al": 1, "bo": 2}}'
    limit = replay([(0.0, said), (0.05, said), (0.1, said)], observers=5, changes=40)
    assert (limit.writes, limit.deliveries) == (15, 30)
    assert 0 < limit.cpu_seconds < 0.1 <= limit.seconds


@pytest.mark.parametrize("size", [5, 125, 126, 70_000])
def test_frames_of_the_bare_loop_are_read(size: int) -> None:
    payload = b"x" * size
    seen: list[bytes | None] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        swarm = Swarm(address, None, lambda number, payload, now: seen.append(payload))
        swarm.connect(0, "a=b")
        peer, _ = listener.accept()
        with peer:
            swarm.turn(1)
            peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + frame(payload))
            peer.sendall(frame(b"ok"))
            while b"ok" not in seen:
                swarm.turn(1)
        swarm.close(0)
    assert len(seen) == 2


def test_engine_io_is_spoken() -> None:
    said: list[bytes | None] = []
    inside: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        swarm = Swarm(address, None, lambda n, payload, now: said.append(payload), SOCKET_IO.path)
        swarm.on_open = lambda number, now: inside.append(number)
        speak(swarm, SOCKET_IO)
        swarm.connect(7, "a=b")
        peer, _ = listener.accept()
        with peer:
            swarm.turn(1)
            assert b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1" in peer.recv(4096)
            peer.sendall(b'HTTP/1.1 101 Switching Protocols\r\n\r\n' + frame(b'0{"sid":"x"}'))
            swarm.turn(1)
            assert peer.recv(100)[6:] == b"40" and inside == []
            peer.sendall(frame(b'40{"sid":"y"}') + frame(b"2"))
            swarm.turn(1)
            assert peer.recv(100)[6:] == b"3" and inside == [7]
            event = b'42["user",{"username":"al","is_logged_in":true}]'
            peer.sendall(frame(event))
            swarm.turn(1)
        swarm.close(7)
    assert said == [event] and changes_in(event) == [("al", True)]


def test_a_peer_that_cannot_be_installed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package.json").write_text('{"dependencies": {"ws": "1"}}')
    peer = Peer(tmp_path, ("ws",), (replace(SERVERS["plain"], name="ws"),))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotInstall, match="needs node, which is not on the PATH"):
        peer.install()
    comparison = Comparison()
    assert list(install([peer], comparison)) == []
    assert "not on the PATH" in comparison.absent["ws"]


def test_every_peer_is_pinned_and_named() -> None:
    for peer in PEERS:
        assert all(peer.versions()[name][0].isdigit() for name in peer.packages)
        assert all(server.name in report.NAMES for server in peer.servers)


def test_a_chart_shows_its_points() -> None:
    points = [(1000.0, 10.0), (2000.0, 20.0), (16_000.0, 160.0)]
    chart = Chart("a < b", "across", "up", [Series("line", points, fitted=True)])
    root = ElementTree.fromstring(chart.svg())
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    xs = [float(circle.attrib["cx"]) for circle in circles]
    ys = [float(circle.attrib["cy"]) for circle in circles]
    assert xs == sorted(xs) and ys == sorted(ys, reverse=True) and len(xs) == 3
    # The best line through points of one line is that line.
    assert fit(points) == pytest.approx((0.01, 0.0))
    powers = Chart("", "", "", [Series("line", points)], powers=True)
    assert "10,000" in powers.svg() and "100,000" in powers.svg()


def test_a_line_through_one_point_is_level() -> None:
    assert fit([(3.0, 4.0)]) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("highest", "last"), [(0, 1), (0.4, 0.4), (1, 1), (47, 50), (100, 100), (101, 125)]
)
def test_ticks_are_round(highest: float, last: float) -> None:
    assert ticks(highest)[-1] == pytest.approx(last)
    assert ticks(highest)[0] == 0 and 2 <= len(ticks(highest)) <= 7


def test_figures_are_filled_into_texts(documents: Path) -> None:
    comparison = Comparison(cells=[Cell.of(RESULT)])
    (documents / "comparison.json").write_text(report.encode(comparison))
    text = "p99 <!-- figure crowd-p99 -->?<!-- end -->, <!-- figure page -->?<!-- end -->."
    expected = text.replace("-->?<", "-->480 ms<", 1).replace("-->?<", "-->not measured<")
    assert figures.filled(text) == expected
    with pytest.raises(KeyError):
        figures.filled("<!-- figure nonsense -->?<!-- end -->")


def test_many_nodes_are_reckoned_from_few(documents: Path) -> None:
    # Each letter costs Redis 3 µs and each node 50 µs, for each node that reads it.
    points = [
        Nodes(
            nodes=count,
            observers=1000,
            changes=100,
            changes_seen=400,
            nodes_cpu_us=1000 + 50 * count,
            redis_cpu_us=20 + 3 * count,
            letters=400,
            p99_ms=100,
            lost=0,
        )
        for count in (1, 2, 4)
    ]
    rows = "\n".join(beyond.reckoning([], [], points))
    assert "| letters that Redis delivers | 166,667/s |" in rows
    assert "| Redis | at most 0.5 cores | 3 µs for each letter and receiver" in rows
    assert "| a node, to read letters | at most 8 % of a core | 50 µs for each letter" in rows


def test_the_readme_repeats_what_the_run_found() -> None:
    text = figures.README.read_text()
    assert text.count("<!-- figure ") >= 3
    assert figures.filled(text) == text
