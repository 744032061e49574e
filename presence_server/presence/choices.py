"""What users say of themselves for all of their connections: status, words, until when."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from presence_server.presence.deadlines import Deadlines

ChosenStatus = Literal["busy", "away", "invisible"]

# So many choices that have ended are remembered, so that older ones do not come back.
REMEMBERED = 20_000


class Choice(NamedTuple):
    """Of two choices of a user the greater one holds; a later account of the name comes first.

    `at` is near the Unix millisecond of the choice and greater than that of the one before it: a
    second is too coarse to order two clicks. Without a status and a text it is the end of a choice.
    `until` is the Unix second of its own end.
    """

    account: int
    at: int
    status: ChosenStatus | None = None
    text: str = ""
    until: int | None = None
    # The second of it by the clock of whoever has it.
    since: int = 0

    @property
    def ended(self) -> bool:
        return self.status is None and not self.text

    def is_over(self, unix: int) -> bool:
        return self.until is not None and self.until <= unix


class Choices:
    """The choices of the users of all apps, by app (0: the own accounts) and user."""

    def __init__(self) -> None:
        self._choices: dict[tuple[int, str], Choice] = {}
        self._ended: dict[tuple[int, str], Choice] = {}
        self._ends: Deadlines[tuple[int, str]] = Deadlines()

    def holding(self, app: int, user: str) -> Choice | None:
        return self._choices.get((app, user))

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
        known = self._newest(key)
        if known is not None and _order(known) >= _order(choice):
            return False
        choice = choice._replace(since=min(choice.since or choice.at // 1000, unix))
        self._choices.pop(key, None)
        self._ended.pop(key, None)
        self._ends.drop(key)
        if choice.ended or choice.is_over(unix):
            self._remember(key, choice)
        else:
            self._choices[key] = choice
            if choice.until is not None:
                self._ends.put(key, choice.until)
        return True

    def end_due(self, unix: int) -> Iterator[tuple[int, str]]:
        """End those whose time is over."""
        for key in list(self._ends.take(unix)):
            self._remember(key, self._choices.pop(key))
            yield key

    def all(self) -> Iterator[tuple[int, str, Choice]]:
        """Also those that have ended."""
        for choices in (self._choices, self._ended):
            for (app, user), choice in choices.items():
                yield app, user, choice

    def _newest(self, key: tuple[int, str]) -> Choice | None:
        return self._choices.get(key) or self._ended.get(key)

    def _remember(self, key: tuple[int, str], choice: Choice) -> None:
        self._ended[key] = choice
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]


def _order(choice: Choice) -> tuple[int, int, str, str]:
    # Of two at once, at nodes that do not know of each other, all take the same.
    return choice.account, choice.at, choice.status or "", choice.text
