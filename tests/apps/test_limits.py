from presence_server.apps.limits import AppLines, Rate


def test_one_app_cannot_take_all_lines() -> None:
    lines = AppLines(lambda: 10)
    for _ in range(8):
        assert not lines.is_full(1)
        lines.take(1)
    assert lines.is_full(1) and not lines.is_full(2)
    lines.take(2)
    assert lines.open() == {1: 8, 2: 1}
    lines.give_back(1)
    lines.give_back(2)
    assert not lines.is_full(1) and lines.open() == {1: 7}


def test_an_app_has_a_line_however_small_the_process() -> None:
    lines = AppLines(lambda: 0)
    assert not lines.is_full(1)
    lines.take(1)
    assert lines.is_full(1)


def test_a_burst_passes_and_then_so_many_a_second() -> None:
    now = 100.0
    rate = Rate(burst=3, per_second=2, clock=lambda: now)
    assert [rate.take("a") for _ in range(3)] == [0, 0, 0]
    assert rate.take("a") == 0.5
    assert rate.take("b") == 0
    now += 0.25
    assert rate.take("a") == 0.25
    now += 0.25
    assert [rate.take("a"), rate.take("a")] == [0, 0.5]
    now += 10
    assert [rate.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_who_is_refused_pays_nothing_for_it() -> None:
    now = 0.0
    rate = Rate(burst=1, per_second=1, clock=lambda: now)
    assert rate.take("a") == 0
    for _ in range(100):
        assert rate.take("a") == 1
    now = 1.0
    assert rate.take("a") == 0


def test_those_who_asked_longest_ago_are_forgotten() -> None:
    rate = Rate(burst=1, per_second=1, most_keys=2, clock=lambda: 0.0)
    for who in ("a", "b", "c"):
        assert rate.take(who) == 0
    assert rate.take("c") > 0
    assert rate.take("a") == 0
