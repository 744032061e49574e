"""What goes to browsers and comes from them."""

import json

import pytest

from presence_server.presence.choices import Choice
from presence_server.presence.client_messages import (
    DataMessage,
    LeaveMessage,
    StatusMessage,
    TokenMessage,
    WatchMessage,
    parse_client_message,
)
from presence_server.presence.messages import (
    encode_alive,
    encode_bye,
    encode_changes,
    encode_choice,
    encode_count,
    encode_degraded,
    encode_expiring,
    encode_own,
    encode_snapshot,
    encode_tutorial,
)
from presence_server.presence.objects import MessageError
from presence_server.presence.states import Person

NOW = 1_800_000_000
MONTH = 30 * 24 * 3600


@pytest.mark.parametrize("heartbeat, said", [(20.0, "20"), (1.5, "1.5")])
def test_a_heartbeat_of_whole_seconds_is_a_whole_number(heartbeat: float, said: str) -> None:
    assert encode_snapshot("n.9", heartbeat, {}).endswith(f'"heartbeat":{said}}}')


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


def test_it_is_told_when_a_stay_began_if_that_is_longer_ago_than_how_somebody_is() -> None:
    people = {
        "alice": Person("away", 105, 1, 1, here=100),
        "bob": Person("online", 105, 2, 2, here=105),
        "carol": Person("busy", 105, 3, 3, here=1),
        "dave": Person("online", 105, 4, 4),
    }
    began = {"alice": 100, "carol": 1}
    assert json.loads(encode_snapshot("n.4", 20, people))["here"] == began
    changes = [*people.items(), ("erin", Person("offline", 105, 5, 5, here=100))]
    assert json.loads(encode_changes("n.5", changes, 0))["here"] == began
    assert "here" not in json.loads(encode_snapshot("n.4", 20, {"bob": people["bob"]}))


def test_of_some_it_is_not_told_since_when_they_are_offline() -> None:
    changes = [
        ("alice", Person("offline", 105, 1, 1, hides_since=True)),
        # Of somebody who was never here a profile alone is told, and that there is none.
        ("bob", Person("offline", 0, 2, 0, {"name": "Bob"}, 2)),
        ("carol", Person("offline", 0, 3, 0, {}, 3)),
    ]
    told = json.loads(encode_changes("n.3", changes, 0))
    assert told["offline"] == {"alice": 0}
    assert told["about"] == {"bob": {"name": "Bob"}, "carol": {}}


def test_of_very_many_nobody_is_left_out() -> None:
    about = {"text": "here"}
    here = {f"user{n}": Person("away", 100 + n, 1, 1, about, 1, here=50) for n in range(1_201)}
    told = json.loads(encode_snapshot("n.1", 20, here))
    assert told["away"] == {name: person.since for name, person in here.items()}
    assert told["here"] == dict.fromkeys(here, 50) and told["about"] == dict.fromkeys(here, about)


def test_a_choice_as_its_user_is_told_of_it() -> None:
    assert json.loads(encode_choice(None)) == {"type": "choice"}
    assert json.loads(encode_choice(Choice(1, 2, "busy", "lunch", 200))) == {
        "type": "choice",
        "status": "busy",
        "text": "lunch",
        "until": 200,
    }
    assert json.loads(encode_choice(Choice(1, 2, None, "back"))) == {
        "type": "choice",
        "text": "back",
    }


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
    assert encode_expiring(60) == '{"type":"expiring","in":60}'


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
    assert parsed(type="status", status="busy", scope="user", text="", until=0) == StatusMessage(
        "busy", True, "", 0
    )
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
    assert parsed(type="watch", users=None, cursor="n.1") == WatchMessage(None, "n.1")
    assert parsed(type="watch", users=["a"], cursor="n.1") == WatchMessage(frozenset("a"), "n.1")
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


_NO_TEXT = "text is longer than 100 characters, or has control ones"
_NO_END = "until is no second within the next 30 days"
_NO_DATA = "data is no object of at most 512 bytes"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("away", "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("17", "not a JSON object"),
        ('"status"', "not a JSON object"),
        ('{"type":"status","status":"away"', "not JSON"),
        ('{"type":17}', "type is not a text"),
        ('{"type":"status","status":["away"]}', "status is not a text"),
        ('{"type":"status","status":"away","scope":{}}', "scope is not a text"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 2000 + "1" + "}" * 2000, "not JSON"),
        ('{"a":' + "9" * 5000 + "}", "not JSON"),
        ('{"type":"status","status":"busy","scope":"user","text":5}', "text is not a text"),
        ('{"type":"status","status":"busy","scope":"user","text":"' + "x" * 101 + '"}', _NO_TEXT),
        ('{"type":"status","status":"busy","scope":"user","text":"a\\u0000b"}', _NO_TEXT),
        ('{"type":"status","status":"busy","scope":"user","text":"\\ud800"}', _NO_TEXT),
        ('{"type":"status","status":"busy","scope":"user","until":"noon"}', _NO_END),
        ('{"type":"status","status":"busy","scope":"user","until":true}', _NO_END),
        ('{"type":"status","status":"busy","scope":"user","until":1.5}', _NO_END),
        ('{"type":"status","status":"busy","scope":"user","until":-1}', _NO_END),
        ('{"type":"status","status":"busy","scope":"user","until":-1' + "0" * 30 + "}", _NO_END),
        (
            f'{{"type":"status","status":"busy","scope":"user","until":{NOW + MONTH + 1}}}',
            _NO_END,
        ),
        ('{"type":"data","data":[]}', _NO_DATA),
        ('{"type":"data","data":null}', _NO_DATA),
        ('{"type":"data","data":{"x":"' + "ü" * 252 + 'x"}}', _NO_DATA),
        ('{"type":"data","data":{"x":"\\udfff"}}', "cannot be written down"),
        ('{"type":"data","data":{"x":' + "[" * 900 + "]" * 900 + "}}", _NO_DATA),
        ('{"type":"watch","users":"alice"}', "users is no list of texts"),
        ('{"type":"watch","users":[null]}', "users is no list of texts"),
        (
            '{"type":"watch","users":["' + '","'.join(map(str, range(501))) + '"]}',
            "more than 500 users",
        ),
        ('{"type":"watch","users":[],"cursor":1}', "cursor is not a text"),
        ('{"type":"token","token":{}}', "token is not a text"),
    ],
)
def test_what_is_no_message_is_refused(text: str, why: str) -> None:
    with pytest.raises(MessageError) as refused:
        parse_client_message(text, NOW)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"type":"status","type":"status"}', "a field is repeated"),
        ('{"a":{"b":1,"b":2}}', "a field is repeated"),
        ('{"a":NaN}', "NaN is not JSON"),
        ('{"a":-Infinity}', "-Infinity is not JSON"),
        ('{"a":1e999}', "1e999 is too large"),
        ('{"a":[-1.5E+400]}', "-1.5E+400 is too large"),
        ('{"a":1' + "0" * 400 + ".5}", "1" + "0" * 19 + " is too large"),
    ],
)
def test_so_is_what_only_python_would_read(text: str, why: str) -> None:
    with pytest.raises(MessageError, match="^not JSON$") as refused:
        parse_client_message(text, NOW)
    assert str(refused.value.__cause__) == why


def test_numbers_are_what_they_say() -> None:
    assert parsed(type="data", data={"x": [0.5, -1e300, 10**300]}) == DataMessage(
        {"x": [0.5, -1e300, 10**300]}
    )
