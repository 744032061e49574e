"""What users say of themselves for all of their connections: status, words, until when."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple

from presence_server.presence.deadlines import Deadlines

ChosenStatus = Literal["busy", "away", "invisible"]

# So many choices that have ended are remembered, so that older ones do not come back.
REMEMBERED = 20_000


class Choice(NamedTuple):
    """Of two choices of a user the greater one holds; a later account of the name comes first.

    `at` is near the Unix millisecond of the choice and greater than that of the one before it: a
    second is too coarse to order two clicks. Without a status and a text it is the end of a choice.
    `until` is the Unix second of its own end. While a user is invisible others go on reading what
    they read before: `seen_text`, until the second `seen_until`.
    """

    account: int
    at: int
    status: ChosenStatus | None = None
    text: str = ""
    until: int | None = None
    seen_text: str = ""
    seen_until: int | None = None
    # Since when the status holds, by the clock of whoever has it; and whether that is known, and
    # not only what somebody's clock said that is not.
    since: int = 0
    is_dated: bool = True

    @property
    def ended(self) -> bool:
        return self.status is None and not self.text

    @property
    def hides(self) -> bool:
        """Whether to others its user is offline."""
        return self.status == "invisible"

    @property
    def left_behind(self) -> tuple[str, int | None]:
        """The text that others read beside its user who is offline, and until when."""
        if self.hides:
            return self.seen_text, self.seen_until
        return self.text, self.until if self.text else None

    @property
    def next_end(self) -> int | None:
        """When something of it is over."""
        ends = [end for end in (self.until, self.seen_until) if end is not None]
        return min(ends, default=None)

    def is_over(self, unix: int) -> bool:
        return self.until is not None and self.until <= unix

    def as_of(self, unix: int) -> "Choice":
        """What it has become: an end of one's invisibility brings nothing else to light."""
        choice = self
        if self.seen_until is not None and self.seen_until <= unix:
            choice = choice._replace(seen_text="", seen_until=None)
        if choice.seen_text and choice.is_over(unix):
            return choice._replace(
                status=None,
                text=choice.seen_text,
                until=choice.seen_until,
                seen_text="",
                seen_until=None,
            )
        return choice


class Choices:
    """The choices of the users of all apps, by app (0: the own accounts) and user."""

    def __init__(self) -> None:
        self._choices: dict[tuple[int, str], Choice] = {}
        self._ended: dict[tuple[int, str], Choice] = {}
        self._readers: dict[int, Callable[[str], Choice | None]] = {}
        self._ends: Deadlines[tuple[int, str]] = Deadlines()

    def holding(self, app: int, user: str) -> Choice | None:
        return self._choices.get((app, user))

    def reader(self, app: int) -> Callable[[str], Choice | None]:
        """`holding` for one app; the same for all of its rooms, of which there may be many."""
        if app not in self._readers:
            self._readers[app] = partial(self.holding, app)
        return self._readers[app]

    def newest(self, app: int, user: str) -> Choice | None:
        """The one that holds, or that has ended last."""
        return self._newest((app, user))

    def next_at(self, app: int, user: str, unix: int) -> int:
        """What orders a further choice behind all that are known."""
        known = self._newest((app, user))
        return 1000 * unix if known is None else max(1000 * unix, known.at + 1)

    def put(self, app: int, user: str, choice: Choice, unix: int) -> bool:
        """Take in a choice; False if what is known is newer."""
        key = app, user
        known, choice = self._newest(key), choice.as_of(unix)
        if known is not None and _order(known) >= _order(choice):
            return False
        choice = choice._replace(since=min(choice.since or choice.at // 1000, unix))
        self._choices.pop(key, None)
        self._ended.pop(key, None)
        self._ends.drop(key)
        self._keep(key, choice, unix)
        return True

    def date(self, app: int, user: str, choice: Choice, unix: int) -> bool:
        """Whether it is the one that holds, of which only now it is known since when."""
        known = self._choices.get((app, user))
        if known is None or known.is_dated or not choice.is_dated:
            return False
        if _order(known) != _order(choice.as_of(unix)):
            return False
        since = min(choice.since, unix)
        self._choices[app, user] = known._replace(since=since, is_dated=True)
        return True

    def end_due(self, unix: int) -> Iterator[tuple[int, str]]:
        """End those whose time is over, or what others read of those who are invisible."""
        for key in list(self._ends.take(unix)):
            self._keep(key, self._choices.pop(key).as_of(unix), unix)
            yield key

    def recede(self, unix: int) -> None:
        """None holds since a second to come: the clock was wrong."""
        for choices in (self._choices, self._ended):
            for key, choice in choices.items():
                choices[key] = choice._replace(since=min(choice.since, unix))

    def all(self) -> Iterator[tuple[int, str, Choice]]:
        """Also those that have ended."""
        for choices in (self._choices, self._ended):
            for (app, user), choice in choices.items():
                yield app, user, choice

    def _newest(self, key: tuple[int, str]) -> Choice | None:
        return self._choices.get(key) or self._ended.get(key)

    def _keep(self, key: tuple[int, str], choice: Choice, unix: int) -> None:
        if choice.ended or choice.is_over(unix):
            self._remember(key, choice)
            return
        self._choices[key] = choice
        if choice.next_end is not None:
            self._ends.put(key, choice.next_end)

    def _remember(self, key: tuple[int, str], choice: Choice) -> None:
        self._ended[key] = choice
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]


def words_of(text: str, until: int | None) -> dict[str, Any]:
    """A text and an end, as they are shown beside a status."""
    words: dict[str, Any] = {"text": text} if text else {}
    return {**words, "until": until} if until else words


def _order(choice: Choice) -> tuple[int, int, str, str, float, str, float]:
    # Of two at once, at nodes that do not know of each other, all take the same.
    ends = [math.inf if end is None else end for end in (choice.until, choice.seen_until)]
    words = choice.text, ends[0], choice.seen_text, ends[1]
    return choice.account, choice.at, choice.status or "", *words
