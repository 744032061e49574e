"""How a user is, by all that nodes say of their sessions, their choice and their profile."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from presence_server.presence.choices import Choice, words_of
from presence_server.presence.entries import Entry, Source
from presence_server.presence.profiles import Profile
from presence_server.presence.states import NOTHING, PRECEDENCE, Status

# Beside what is shown of somebody, and told nobody: the second in which that was said by whoever
# may say it.
ISSUED = "issued"
# The same for the kind of device that a session of an own account is on. Where the user allows it,
# those of all their sessions are told as DEVICES.
DEVICE = "device"
DEVICES = "devices"
_FOR_NODES = frozenset((ISSUED, DEVICE))


def counted(entries: Mapping[Source, Entry]) -> list[Entry]:
    """Those that count: of a session its open lines on any node, or else where it left last."""
    if len({source.tag for source in entries}) < 2:
        return list(_of_session([*entries.values()])) if entries else []
    sessions: dict[str, list[Entry]] = {}
    for source, entry in entries.items():
        sessions.setdefault(source.tag, []).append(entry)
    return [entry for of_one in sessions.values() for entry in _of_session(of_one)]


def _of_session(entries: list[Entry]) -> Iterable[Entry]:
    return [entry for entry in entries if entry.left is None] or [max(entries, key=_left)]


def _left(entry: Entry) -> float:
    # Of whoever is about to open a line others say how they were.
    return -math.inf if entry.is_arriving else entry.left or 0.0


def merged_status(entries: Iterable[Entry]) -> Status:
    """The status of the lines of a user who has some."""
    return min((entry.status for entry in entries), key=PRECEDENCE.index)


def status_of(entries: list[Entry], choice: Choice | None) -> Status:
    """The status of a user of whom these count."""
    if choice is not None and choice.status is not None and choice.status != "invisible":
        return choice.status
    return entries[0].status if len(entries) == 1 else merged_status(entries)


def about_of(
    entries: list[Entry], choice: Choice | None, profile: Profile
) -> Mapping[str, Any]:
    """What is shown beside the status of a user of whom these count."""
    about = entries[0].about if len(entries) == 1 else newest_about(entries)
    if about:
        about = {key: about[key] for key in about if key not in _FOR_NODES} or NOTHING
    if profile.shows_devices and (devices := _devices(entries)):
        about = {**about, DEVICES: devices}
    if profile.name:
        about = {"name": profile.name, **about}
    if choice is None or not (choice.text or choice.until):
        return about
    return {**about, **words_of(choice.text, choice.until)}


def left_behind(choice: Choice | None, profile: Profile) -> Mapping[str, Any]:
    """What is shown beside somebody who is offline."""
    about: dict[str, Any] = {"name": profile.name} if profile.name else {}
    if choice is not None:
        about |= words_of(*choice.left_behind)
    return about or NOTHING


def look_alike(one: Entry, other: Entry, profile: Profile) -> bool:
    """Whether others are told the same of both."""
    if one.status != other.status:
        return False
    return one.about is other.about or _seen(one, profile) == _seen(other, profile)


def _seen(entry: Entry, profile: Profile) -> tuple[Status, Mapping[str, Any]]:
    """Of what is said of a session, what others can be told."""
    if profile.shows_devices:
        return entry.status, entry.about
    return entry.status, of_user(entry.about)


def without_nothing(about: Mapping[str, Any]) -> dict[str, Any]:
    """What is empty is not said."""
    return {name: value for name, value in about.items() if value}


def newest_about(entries: Iterable[Entry]) -> Mapping[str, Any]:
    """What is said of a user, of several at once the newest."""
    return max(entries, key=lambda entry: newness(entry.about, entry.order)).about


def newness(about: Mapping[str, Any], order: int) -> tuple[int, int, str]:
    """Of what is said of a user the greatest holds; of two at once all nodes take the same."""
    return about.get(ISSUED, 0), order, repr(of_user(about))


def of_user(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what holds for one session alone."""
    if DEVICE not in about:
        return about
    return {key: about[key] for key in about if key != DEVICE}


def _devices(entries: Iterable[Entry]) -> list[str]:
    return sorted({entry.about[DEVICE] for entry in entries if DEVICE in entry.about})
