from pathlib import Path

import pytest

from presence_server import processors
from presence_server.processors import usable_processors


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_runs_on", lambda: 64)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def usable(tmp_path: Path, ours: str) -> int:
    write(tmp_path, ours=ours)
    return usable_processors(tmp_path / "groups", tmp_path / "ours")


def test_without_a_quota_all_that_we_may_run_on(tmp_path: Path) -> None:
    write(tmp_path / "groups" / "pod", cpu__max="max 100000\n")
    assert usable(tmp_path, "0::/pod\n") == 64
    assert usable(tmp_path, "") == 64
    assert usable_processors(tmp_path / "none", tmp_path / "none") == 64


@pytest.mark.parametrize(("quota", "worth"), [("250000", 2), ("400000", 4), ("5000", 1)])
def test_a_quota_counts_wherever_above_us_it_is(tmp_path: Path, quota: str, worth: int) -> None:
    write(tmp_path / "groups" / "pod", cpu__max=f"{quota} 100000\n")
    write(tmp_path / "groups" / "pod" / "ours", cpu__max="max 100000\n")
    assert usable(tmp_path, "0::/pod/ours\n") == worth


def test_inside_a_container_our_own_group_is_the_top(tmp_path: Path) -> None:
    write(tmp_path / "groups", cpu__max="200000 100000\n")
    assert usable(tmp_path, "0::/\n") == 2
    # The name that the machine knows it by leads nowhere.
    assert usable(tmp_path, "0::/../../pod/ours\n") == 2


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_the_older_kind_of_quota(tmp_path: Path, controllers: str) -> None:
    period = {"cpu__cfs_period_us": "100000\n"}
    write(tmp_path / "groups" / controllers / "pod", cpu__cfs_quota_us="300000\n", **period)
    write(tmp_path / "groups" / "memory" / "pod", cpu__cfs_quota_us="100000\n", **period)
    assert usable(tmp_path, f"4:memory:/pod\n3:{controllers}:/pod\n0::/\n") == 3
    write(tmp_path / "groups" / controllers / "pod", cpu__cfs_quota_us="-1\n")
    assert usable(tmp_path, f"3:{controllers}:/pod\n") == 64


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    assert usable(tmp_path, "") == 3
