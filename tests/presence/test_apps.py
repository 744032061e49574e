"""The rules for people of apps, on several nodes in virtual time: claims, graces of their own, who
is sent away, and words for a line at another node."""

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from presence_server.presence.commands import Breathe, Command, Hear, Send
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node

DOC, LOBBY = "7/doc", "7/lobby"
GRACE, LEASE = 8.0, 10.0
LINE, CLAIM = "7:alice", "7.alice"


class Site:
    """Nodes that hear each other at once; `node` numbers them from 0."""

    def __init__(self, nodes: int = 2) -> None:
        self.second = 0.0
        self.nodes = [
            Node(f"{number + 1:016x}", grace=GRACE, lease=LEASE, now=self.now)
            for number in range(nodes)
        ]
        self.dead: set[int] = set()
        self.heard: list[tuple[int, Hear]] = []
        for number, node in enumerate(self.nodes):
            self.do(number, node.subscribed)
        self.wait(1)

    @property
    def now(self) -> Moment:
        return Moment(self.second, 1_000_000 + int(self.second))

    def do(self, number: int, act: Callable[[Moment], list[Command]]) -> None:
        waiting = deque((number, command) for command in act(self.now))
        while waiting:
            sender, command = waiting.popleft()
            if isinstance(command, Hear):
                self.heard.append((sender, command))
            elif isinstance(command, Breathe):
                waiting.extend((sender, more) for more in self.nodes[sender].woke(self.now))
            elif isinstance(command, Send):
                for to, node in enumerate(self.nodes):
                    if to not in self.dead and command.to in (None, node.name):
                        found = node.receive(command.text, self.now)
                        waiting.extend((to, more) for more in found)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.second = round(self.second + 0.1, 1)
            for number in set(range(len(self.nodes))) - self.dead:
                self.do(number, self.nodes[number].tick)

    def claim(self, number: int, ttl: float, status: Any = "online", **about: Any) -> None:
        who = Who(CLAIM, "alice", about=about, until=self.now.unix + int(ttl))
        node = self.nodes[number]
        self.do(number, lambda now: node.claim(DOC, who, now, status=status, ttl=ttl))

    def open(self, number: int, connection: int = 1, status: Any = None) -> None:
        node, who = self.nodes[number], Who(LINE, "alice")
        self.do(number, lambda now: node.open(DOC, who, connection, now, status))

    def close(self, number: int, connection: int = 1) -> None:
        self.do(number, lambda now: self.nodes[number].close(DOC, LINE, connection, now))

    def receive(self, number: int, text: str) -> None:
        self.do(number, lambda now: self.nodes[number].receive(text, now))

    def describe(self, number: int, **about: Any) -> None:
        node = self.nodes[number]
        self.do(number, lambda now: node.describe(DOC, LINE, about, now))

    def shown_beside(self, room: str = DOC) -> list[Any]:
        """What is shown beside her status, at each node."""
        return [dict(node.rooms.open(room).roster.here["alice"].about) for node in self.nodes]

    def shown(self, room: str = DOC) -> list[str]:
        """How alice is, at each node that lives; offline when she is not here."""
        found: list[str] = []
        for number in sorted(set(range(len(self.nodes))) - self.dead):
            person = self.nodes[number].rooms.open(room).roster.here.get("alice")
            found.append("offline" if person is None else person.status)
        return found


def test_a_claim_lasts_as_long_as_was_said_everywhere() -> None:
    site = Site()
    site.claim(0, 60, "busy")
    site.wait(59)
    assert site.shown() == site.shown(LOBBY) == ["busy", "busy"]
    site.wait(2)
    assert site.shown() == site.shown(LOBBY) == ["offline", "offline"]
    assert DOC in {room.key for room in site.nodes[1].rooms}
    gone = site.nodes[1].rooms.open(DOC).roster.gone("alice")
    assert gone is not None and gone.since == 1_000_000 + 61, "since it ended"


def test_a_claim_outlives_the_node_that_was_told_of_it() -> None:
    site = Site()
    site.claim(0, 120)
    site.wait(1)
    site.dead.add(0)
    site.wait(100)
    assert site.shown() == ["online"]
    site.wait(20)
    assert site.shown() == ["offline"]


def test_the_newest_claim_holds_at_whichever_node_it_was_made() -> None:
    site = Site()
    site.claim(0, 3600, "busy", n=1)
    site.wait(1)
    site.claim(1, 20, "away", n=2)
    site.wait(1)
    assert site.shown() == ["away", "away"]
    for node in site.nodes:
        assert node.rooms.open(DOC).roster.here["alice"].since <= site.now.unix
    site.wait(20)
    assert site.shown() == ["offline", "offline"], "the older one has not come back"


def test_of_two_claims_at_once_all_nodes_take_one() -> None:
    for first in (0, 1):
        site = Site()
        who = Who(CLAIM, "alice")
        late = []
        for number in (first, 1 - first):
            node, ttl = site.nodes[number], 20.0 + 20 * number
            commands = node.claim(DOC, who, site.now, ttl=ttl) + node.tick(site.now)
            late += [(1 - number, c.text) for c in commands if isinstance(c, Send)]
        for number, text in late:
            site.receive(number, text)
        site.wait(39)
        assert site.shown() == ["online", "online"]
        site.wait(2)
        assert site.shown() == ["offline", "offline"]


def test_what_was_said_last_outlives_the_line_on_which_it_was_said() -> None:
    site = Site(3)
    site.open(0, connection=1)
    site.open(1, connection=2)
    site.wait(1)
    site.describe(0, data={"row": 6})
    site.wait(1)
    site.describe(1, data={"row": 7})
    site.wait(1)
    before = [node.rooms.open(DOC).roster.version for node in site.nodes]
    site.close(1, connection=2)
    site.wait(2 * GRACE)
    told = [node.rooms.open(DOC).roster.version for node in site.nodes]
    assert told == before, "nothing that others see has changed"
    assert site.shown_beside() == site.shown_beside(LOBBY) == [{"data": {"row": 7}}] * 3
    site.describe(0)
    site.wait(1)
    assert site.shown_beside() == [{}] * 3
    site.close(0, connection=1)
    site.wait(GRACE + 1)
    assert site.shown() == ["offline"] * 3


def test_of_what_is_said_at_once_at_two_nodes_all_show_the_same() -> None:
    site = Site(3)
    site.open(0, connection=1)
    site.open(1, connection=2)
    site.wait(1)
    site.describe(0, data={"row": 6})
    site.describe(1, data={"row": 7})
    site.wait(1)
    assert site.shown_beside() == [{"data": {"row": 7}}] * 3


def test_lines_and_claims_of_a_user_do_not_touch_each_other() -> None:
    site = Site()
    site.claim(0, 30, "away")
    site.open(1)
    site.wait(1)
    assert site.shown() == ["online", "online"]
    site.close(1)
    site.wait(GRACE + 1)
    assert site.shown() == ["away", "away"]
    site.open(0)
    site.wait(25)
    assert site.shown() == ["online", "online"], "the claim is over, the line is not"


def test_a_claim_is_taken_over_for_what_is_left_of_it() -> None:
    site = Site(1)
    site.claim(0, 60, "busy", name="bot")
    site.wait(20)
    record = site.nodes[0].take_record(site.now, whole=True)
    again = Site(1)
    again.second = site.second
    again.do(0, lambda now: again.nodes[0].adopt(record.here, now))
    again.wait(39)
    assert again.shown() == ["busy"]
    person = again.nodes[0].rooms.open(DOC).roster.here["alice"]
    assert person.about == {"name": "bot"}
    again.wait(2)
    assert again.shown() == ["offline"]


def test_an_app_may_have_a_grace_of_its_own_also_when_its_node_dies() -> None:
    for grace, dies in ((2.0, False), (2.0, True), (30.0, False), (30.0, True)):
        site = Site()
        for node in site.nodes:
            node.timing.set_graces({7: grace})
        site.open(0)
        site.wait(1)
        if dies:
            site.dead.add(0)
        else:
            site.close(0)
        lease = LEASE if dies else 0.0
        site.wait(grace + lease - 1)
        assert "offline" not in site.shown()
        site.wait(3)
        assert set(site.shown()) == {"offline"}


def test_sending_a_user_away_ends_lines_and_claims_everywhere() -> None:
    site = Site()
    site.claim(0, 3600)
    site.open(1)
    site.wait(1)
    # Each node does so when it reads the row.
    for number in range(2):
        site.do(number, lambda now: site.nodes[number].end_user(7, "alice", now, room=DOC))
    site.wait(1)
    assert site.shown() == site.shown(LOBBY) == ["offline", "offline"]
    site.open(1, 2)
    site.wait(1)
    assert site.shown() == ["online", "online"], "who may come back may come back"


def test_who_is_back_before_they_were_let_go_stays() -> None:
    site = Site()
    for number in range(2):
        site.open(0, number)
        site.wait(1)
        site.do(0, lambda now: site.nodes[0].end_user(7, "alice", now, room=DOC))
        site.open(0, 10 + number)
        site.wait(3)
        assert site.shown() == ["online", "online"]


def test_a_claim_ends_with_those_who_are_sent_away_though_a_new_line_stays() -> None:
    site = Site()
    site.claim(0, 3600, "busy")
    site.open(0, status="away")
    site.wait(1)
    site.do(0, lambda now: site.nodes[0].end_user(7, "alice", now, lines_stay={DOC}))
    site.wait(2)
    assert site.shown() == ["away", "away"]


def test_a_claim_that_was_ended_does_not_outlive_its_node() -> None:
    for returns in (False, True):
        site = Site()
        site.claim(0, 3600)
        site.wait(1)
        site.do(1, lambda now: site.nodes[1].end_user(7, "alice", now))
        if returns:
            site.claim(0, 3600)
            site.wait(1)
        site.dead.add(0)
        site.wait(LEASE + 4)
        assert site.shown() == ["online" if returns else "offline"]


def test_two_nodes_do_not_give_way_to_each_other() -> None:
    """Both lines close before either node hears of the other's."""
    site = Site()
    late: list[tuple[int, str]] = []
    for number, node in enumerate(site.nodes):
        who = Who(LINE, "alice")
        for commands in (
            node.open(DOC, who, 1, site.now),
            node.tick(site.now),
            node.close(DOC, LINE, 1, site.now),
        ):
            late += [(1 - number, c.text) for c in commands if isinstance(c, Send)]
    for number, text in late:
        site.receive(number, text)
    site.wait(GRACE - 1)
    assert site.shown() == ["online", "online"]
    site.wait(2)
    assert site.shown() == ["offline", "offline"]


@pytest.mark.parametrize("had_both", [False, True])
@pytest.mark.parametrize("stops", [False, True])
def test_who_leaves_is_gone_at_once_though_a_node_that_is_gone_had_them(
    had_both: bool, stops: bool
) -> None:
    site = Site(3)
    site.open(1)
    if had_both:
        site.open(0, 2)
    site.wait(1)
    if stops:
        site.do(1, site.nodes[1].say_goodbye)
    site.dead.add(1)
    site.wait(2 if stops else LEASE + 2)
    if not had_both:
        site.open(0, 2)
    site.wait(3)
    assert site.shown() == ["online", "online"]
    site.close(0, 2)
    site.do(0, lambda now: site.nodes[0].leave(DOC, LINE, now))
    site.wait(1)
    assert site.shown() == site.shown(LOBBY) == ["offline", "offline"]


def test_words_come_to_every_other_node_once() -> None:
    site = Site(3)
    site.do(0, lambda now: site.nodes[0].say_words(DOC, "alice", {"status": "away"}, now))
    site.wait(1)
    heard = [(number, command.room, command.user) for number, command in site.heard]
    assert heard == [(1, DOC, "alice"), (2, DOC, "alice")]
    assert all(command.words == {"status": "away"} for _, command in site.heard)


def test_a_room_remembers_who_left_for_a_minute_and_is_then_no_more() -> None:
    site = Site()
    keys = [room.key for room in site.nodes[0].rooms]
    site.nodes[0].rooms.open("7/asked-for")
    site.open(1)
    site.wait(1)
    assert "7/asked-for" not in {room.key for room in site.nodes[0].rooms}
    site.close(1)
    site.wait(GRACE + 50)
    for node in site.nodes:
        assert list(node.rooms.open(DOC).roster.left_since(0)) == ["alice"]
    site.open(1, 2)
    site.wait(1)
    site.close(1, 2)
    site.wait(GRACE + 50)
    assert list(site.nodes[0].rooms.open(DOC).roster.left_since(0)) == ["alice"]
    site.wait(140)
    for node in site.nodes:
        assert [room.key for room in node.rooms] == keys


def test_whoever_comes_into_a_room_that_was_only_watched_is_in_the_lobby() -> None:
    site = Site()
    for node in site.nodes:
        node.watch(DOC)
    site.wait(200)
    site.open(1)
    site.wait(1)
    assert site.shown() == site.shown(LOBBY) == ["online", "online"]
