"""What is told to whoever has no line: webhooks, and whoever else follows the rooms of an app."""

import asyncio
from collections.abc import Mapping

from presence_server.live.feed import Feed, Feeds
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.records import OWN

NOW = Moment(0.0, 1_800_000_000)


class Site:
    """A node whose rooms are followed."""

    def __init__(self) -> None:
        self.node = Node("1" * 16, grace=8, lease=10, now=NOW)
        self.feeds = Feeds(self.node.rooms)
        self._connections = 0

    def come(self, room: str, user: str) -> None:
        self._connections += 1
        self.node.open(room, Who(f"{user} in {room}", user), self._connections, NOW)
        self.feeds.changed([room])

    def leave(self, room: str, user: str) -> None:
        self.node.leave(room, f"{user} in {room}", NOW)
        self.feeds.changed([room])


def taken(feed: Feed) -> list[tuple[str, Mapping[str, str] | None]]:
    """By room, in order, how those are who changed; None: all have to be looked at."""
    return [
        (
            news.room,
            None
            if news.changed is None
            else {user: person.status for user, person in news.changed.items()},
        )
        for news in feed.take()
    ]


def test_a_feed_is_told_of_the_rooms_of_its_app_only_and_in_order() -> None:
    site = Site()
    wiki, chat, own = [site.feeds.open(app) for app in (1, 2, 0)]
    site.come("1/b/c", "alice")
    site.come("2/a", "bob")
    site.come("1/a", "alice")
    site.come(OWN, "carol")
    assert taken(wiki) == [("1/b/c", None), ("1/a", None)]
    assert taken(chat) == [("2/a", None)]
    assert taken(own) == [("", None)]
    assert taken(wiki) == []


def test_after_the_first_time_only_those_are_named_who_changed() -> None:
    site = Site()
    feed = site.feeds.open(1)
    site.come("1/a", "alice")
    (first,) = feed.take()
    assert first.changed is None and list(first.roster.here) == ["alice"]
    site.come("1/a", "bob")
    site.come("1/a", "carol")
    assert taken(feed) == [("1/a", {"bob": "online", "carol": "online"})]
    site.leave("1/a", "bob")
    assert taken(feed) == [("1/a", {"bob": "offline"})]


def test_a_room_that_is_gone_is_told_as_one_with_nobody() -> None:
    site = Site()
    feed = site.feeds.open(1)
    site.come("1/a", "alice")
    assert taken(feed) == [("1/a", None)]
    site.leave("1/a", "alice")
    # It is remembered for a while who left.
    for second in range(0, 600, 10):
        site.node.tick(Moment(second, NOW.unix + second))
    assert site.node.rooms.get("1/a") is None
    feed.changed("1/a")
    (news,) = feed.take()
    assert (news.room, dict(news.roster.here), news.changed) == ("1/a", {}, None)
    site.come("1/a", "bob")
    assert taken(feed) == [("1/a", None)], "its versions begin anew"


def test_rooms_that_closed_are_forgotten() -> None:
    site = Site()
    feed = site.feeds.open(1)
    for number in range(1000):
        site.come(f"1/call {number}", "alice")
        taken(feed)
        site.leave(f"1/call {number}", "alice")
        taken(feed)
    # They close a while later, and nobody says so.
    for second in range(0, 600, 10):
        site.node.tick(Moment(second, NOW.unix + second))
    site.come("1/a", "alice")
    assert taken(feed) == [("1/a", None)]
    assert len(feed._versions) < 10


def test_one_can_begin_anew_with_one_room_or_with_all() -> None:
    site = Site()
    feed = site.feeds.open(1)
    for room in ("1/a", "1/b", "2/a"):
        site.come(room, "alice")
    taken(feed)
    feed.look_again("1/b")
    assert taken(feed) == [("1/b", None)]
    feed.look_again("1/unheard of")
    assert taken(feed) == [("1/unheard of", None)]
    feed.look_at_all(["1/gone"])
    rooms = taken(feed)
    assert rooms[0] == ("1/gone", None)
    assert sorted(room for room, _ in rooms) == ["1/a", "1/b", "1/gone", "1/lobby"]
    assert all(changed is None for _, changed in rooms)
    feed.look_at_all()
    assert ("1/gone", None) not in taken(feed)


async def test_readers_are_woken_when_something_happens_and_not_before() -> None:
    site = Site()
    wake = asyncio.Event()
    feed, beside = site.feeds.open(1, wake), site.feeds.open(2, wake)
    waiting = asyncio.create_task(feed.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    site.come("2/a", "alice")
    await asyncio.sleep(0)
    assert waiting.done(), "they share what wakes their reader"
    assert taken(beside) == [("2/a", None)] and taken(feed) == []
    assert not wake.is_set()
    alone = site.feeds.open(1)
    site.come("1/a", "alice")
    async with asyncio.timeout(15):
        await alone.wait()


def test_whoever_has_closed_is_told_no_more() -> None:
    site = Site()
    one, other = site.feeds.open(1), site.feeds.open(1)
    site.feeds.close(one)
    site.come("1/a", "alice")
    assert taken(one) == [] and taken(other) == [("1/a", None)]
    site.feeds.close(other)
    site.come("1/a", "bob")
    assert taken(other) == []
