"""What observers are told in each dialect: the texts, and what stands beside them on some wires."""

import json
from collections.abc import Sequence
from typing import Any

from presence_server.live.dialects import MOST_OWN, PRESENCE_V1, TUTORIAL
from presence_server.live.farewells import NOT_ALLOWED, RESTARTING, TOO_MUCH
from presence_server.live.wire import Message
from presence_server.presence.choices import Choice
from presence_server.presence.states import Person

HERE = {"alice": Person("online", 5, 9, 3), "bob": Person("away", 5, 9, 3)}


def told(said: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages, each named beside its text by what it is and by its cursor."""
    messages = [json.loads(message.text) for message in said]
    for message, fields in zip(said, messages):
        assert message.kind == fields["type"] and message.cursor == fields.get("cursor")
    return messages


def test_presence_v1_says_everything() -> None:
    v1 = PRESENCE_V1
    people = {"online": {"alice": 5}, "away": {"bob": 5}}
    assert told(v1.snapshot("n.9", 20.0, HERE)) == [
        {"type": "snapshot", "cursor": "n.9", "heartbeat": 20.0, **people}
    ]
    assert told(v1.changes("n.9", 2, list(HERE.items()))) == [
        {"type": "changes", "cursor": "n.9", **people}
    ]
    assert told(v1.alive("n.9")) == [{"type": "alive", "cursor": "n.9"}]
    assert told(v1.degraded(True, ["bob"])) == [
        {"type": "degraded", "value": True},
        {"type": "own", "usernames": ["bob"]},
    ]
    assert told(v1.count({"online": 2, "away": 1})) == [
        {"type": "count", "online": 2, "busy": 0, "away": 1}
    ]
    assert told(v1.choice(None)) == [{"type": "choice"}]
    busy = Choice(0, 1, "busy", "in court")
    assert told(v1.choice(busy)) == [{"type": "choice", "status": "busy", "text": "in court"}]
    assert told(v1.expiring(30)) == [{"type": "expiring", "in": 30}]
    assert told(v1.bye(RESTARTING, 2.14)) == [
        {"type": "bye", "reason": "restarting", "retry_after": 2.1}
    ]


def test_what_is_told_beside_people_is_told_when_it_is_newer() -> None:
    alice = HERE["alice"]._replace(about={"text": "hi"}, about_version=5)
    for since, is_told in ((4, True), (5, False)):
        (changes,) = told(PRESENCE_V1.changes("n.9", since, [("alice", alice)]))
        assert ("about" in changes) is is_told


def test_a_crowd_is_not_told_by_name() -> None:
    crowd = [f"user{number}" for number in range(MOST_OWN + 1)]
    assert len(told(PRESENCE_V1.degraded(True, crowd[:MOST_OWN]))) == 2
    assert len(told(PRESENCE_V1.degraded(True, crowd))) == 1
    assert told(PRESENCE_V1.degraded(False, crowd[:2])) == [{"type": "degraded", "value": False}]


def test_why_a_line_is_closed_is_said_where_there_are_words_for_it() -> None:
    assert told(PRESENCE_V1.bye(NOT_ALLOWED, None)) == [{"type": "bye", "reason": "not_allowed"}]
    assert told(PRESENCE_V1.bye(TOO_MUCH, None)) == []


def test_the_tutorial_says_who_comes_and_goes_and_nothing_else() -> None:
    assert [message.text for message in TUTORIAL.snapshot("n.9", 20, HERE)] == [
        '{"username": "alice", "is_logged_in": true}',
        '{"username": "bob", "is_logged_in": true}',
    ]
    came = Person("busy", 1, 9, 9)
    people = [("a", came), ("b", came._replace(status="offline"))]
    people += [("c", came._replace(status="deleted")), ("d", came._replace(came=8))]
    assert [json.loads(message.text) for message in TUTORIAL.changes("n.9", 8, people)] == [
        {"username": "a", "is_logged_in": True},
        {"username": "b", "is_logged_in": False},
        {"username": "c", "is_logged_in": False},
    ]
    said = [TUTORIAL.alive("n.9"), TUTORIAL.degraded(True, ["bob"]), TUTORIAL.count({"online": 1})]
    said += [TUTORIAL.choice(None), TUTORIAL.expiring(30), TUTORIAL.bye(RESTARTING, 2.0)]
    assert all(list(messages) == [] for messages in said)
