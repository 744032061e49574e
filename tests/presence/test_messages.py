"""What goes to browsers and comes from them."""

import json

import pytest

from presence_server.presence.messages import (
    DataMessage,
    LeaveMessage,
    MessageError,
    StatusMessage,
    TokenMessage,
    WatchMessage,
    encode_alive,
    encode_bye,
    encode_changes,
    encode_count,
    encode_degraded,
    encode_own,
    encode_snapshot,
    encode_tutorial,
    parse_client_message,
)
from presence_server.presence.states import Person

NOW = 1_800_000_000
MONTH = 30 * 24 * 3600


def test_a_snapshot_groups_people_by_status() -> None:
    here = {"alice": Person("online", 100, 1, 1), "bob": Person("away", 105, 2, 2)}
    assert json.loads(encode_snapshot("n.2", 20, here)) == {
        "type": "snapshot",
        "cursor": "n.2",
        "heartbeat": 20,
        "online": {"alice": 100},
        "away": {"bob": 105},
    }


def test_changes_tell_who_left_and_who_is_deleted() -> None:
    changes = [
        ("alice", Person("offline", 100, 1, 1)),
        ("bob", Person("deleted", 105, 2, 2)),
    ]
    assert json.loads(encode_changes("n.2", changes, 0)) == {
        "type": "changes",
        "cursor": "n.2",
        "offline": {"alice": 100},
        "deleted": {"bob": 105},
    }
    assert json.loads(encode_changes("n.2", [], 2)) == {"type": "changes", "cursor": "n.2"}


def test_what_is_known_of_people_stands_beside_their_status() -> None:
    about = {"name": "Alice", "info": {"avatar": "a.png"}, "text": "lunch", "until": 200}
    here = {"alice": Person("away", 100, 1, 1, about, 1), "bob": Person("online", 105, 2, 2)}
    assert json.loads(encode_snapshot("n.2", 20, here))["about"] == {"alice": about}
    assert "about" not in json.loads(encode_snapshot("n.2", 20, {"bob": here["bob"]}))


def test_changes_tell_only_of_those_of_whom_something_else_is_known_now() -> None:
    changes = [
        ("alice", Person("online", 100, 9, 1, {"text": "lunch"}, 3)),
        ("bob", Person("away", 105, 9, 2, {"data": {"page": 2}}, 9)),
        ("carol", Person("away", 105, 9, 2, {}, 9)),
        ("dave", Person("offline", 105, 9, 9, {"text": "gone"}, 9)),
    ]
    told = json.loads(encode_changes("n.9", changes, 8))
    left_behind = {"dave": {"text": "gone"}}
    assert told["about"] == {"bob": {"data": {"page": 2}}, "carol": {}, **left_behind}
    assert json.loads(encode_changes("n.9", changes, 9))["about"] == left_behind


def test_a_person_takes_at_most_40_bytes_of_a_snapshot() -> None:
    names = [f"user{number:08}" for number in range(1000)]
    here = {name: Person("online", 1_795_420_800, 1, 1) for name in names}
    assert len(encode_snapshot("n.1", 20.0, here)) <= 40 * 1000


def test_small_messages() -> None:
    assert encode_alive("n.1") == '{"type":"alive","cursor":"n.1"}'
    assert encode_degraded(True) == '{"type":"degraded","value":true}'
    assert encode_own(["alice", "bob"]) == '{"type":"own","usernames":["alice","bob"]}'
    counts = {"online": 3, "away": 1, "offline": 7}
    assert encode_count(counts) == '{"type":"count","online":3,"busy":0,"away":1}'
    assert encode_bye("too_slow", None) == '{"type":"bye","reason":"too_slow"}'
    assert json.loads(encode_bye("restarting", 2.14))["retry_after"] == 2.1


def test_the_tutorials_own_words() -> None:
    assert encode_tutorial("alice", True) == '{"username": "alice", "is_logged_in": true}'


def parsed(**message: object) -> object:
    return parse_client_message(json.dumps(message), NOW)


def test_a_status_for_a_connection_and_for_the_user() -> None:
    assert parsed(type="status", status="away") == StatusMessage("away", False)
    assert parsed(type="status", status="online", scope="user", more=[1]) == StatusMessage(
        "online", True
    )


def test_a_choice_may_have_words_and_an_end() -> None:
    text = "x" * 100
    for status in ("busy", "away", "online", "invisible"):
        message = parsed(
            type="status", status=status, scope="user", text=text, until=NOW + MONTH
        )
        assert message == StatusMessage(status, True, text, NOW + MONTH)
    # A family, which takes seven code points.
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
    message = parsed(type="status", status="busy", scope="user", text=family)
    assert message == StatusMessage("busy", True, family)


def test_what_a_client_says_beside_its_status() -> None:
    data = {"page": 2, "cursor": [1, 2]}
    assert parsed(type="data", data=data) == DataMessage(data)
    assert parsed(type="data", data={}) == DataMessage({})
    assert parsed(type="data", data={"x": "ü" * 252}) == DataMessage({"x": "ü" * 252})
    assert parsed(type="token", token="a.b.c") == TokenMessage("a.b.c")
    assert parsed(type="leave") == LeaveMessage()


def test_whom_a_client_watches() -> None:
    assert parsed(type="watch", users=["a", "b", "a"]) == WatchMessage(frozenset("ab"))
    assert parsed(type="watch", users=[]) == WatchMessage(frozenset())
    assert parsed(type="watch", users=None) == WatchMessage(None)
    users = [str(number) for number in range(500)]
    assert parsed(type="watch", users=users) == WatchMessage(frozenset(users))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"type":"dance"}',
        '{"type":"status"}',
        '{"type":"status","status":"busy"}',
        '{"type":"status","status":"away","scope":"world"}',
        '{"status":"away"}',
        '{"type":"status","status":"invisible"}',
        '{"type":"data"}',
        '{"type":"watch"}',
        '{"type":"token"}',
    ],
)
def test_what_is_not_known_is_ignored(text: str) -> None:
    assert parse_client_message(text, NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "away",
        "[]",
        "null",
        "17",
        '"status"',
        '{"type":"status","status":"away"',
        '{"type":17}',
        '{"type":"status","status":["away"]}',
        '{"type":"status","status":"away","scope":{}}',
        '{"type":"status","type":"status"}',
        '{"a":{"b":1,"b":2}}',
        '{"a":NaN}',
        '{"a":-Infinity}',
        '{"a":1e999}',
        '{"a":[-1.5E+400]}',
        "[" * 100_000,
        '{"a":' * 2000 + "1" + "}" * 2000,
        '{"a":' + "9" * 5000 + "}",
        '{"type":"status","status":"busy","scope":"user","text":5}',
        '{"type":"status","status":"busy","scope":"user","text":"' + "x" * 101 + '"}',
        '{"type":"status","status":"busy","scope":"user","text":"a\\u0000b"}',
        '{"type":"status","status":"busy","scope":"user","text":"\\ud800"}',
        '{"type":"status","status":"busy","scope":"user","until":"noon"}',
        '{"type":"status","status":"busy","scope":"user","until":true}',
        '{"type":"status","status":"busy","scope":"user","until":1.5}',
        '{"type":"status","status":"busy","scope":"user","until":-1}',
        '{"type":"status","status":"busy","scope":"user","until":-1' + "0" * 30 + "}",
        f'{{"type":"status","status":"busy","scope":"user","until":{NOW + MONTH + 1}}}',
        '{"type":"data","data":[]}',
        '{"type":"data","data":null}',
        '{"type":"data","data":{"x":"' + "ü" * 252 + 'x"}}',
        '{"type":"data","data":{"x":"\\udfff"}}',
        '{"type":"data","data":{"x":' + "[" * 900 + "]" * 900 + "}}",
        '{"type":"watch","users":"alice"}',
        '{"type":"watch","users":[null]}',
        '{"type":"watch","users":["' + '","'.join(map(str, range(501))) + '"]}',
        '{"type":"token","token":{}}',
    ],
)
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        parse_client_message(text, NOW)
