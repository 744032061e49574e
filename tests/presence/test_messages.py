"""What goes to browsers and comes from them."""

import json

import pytest

from presence_server.presence.messages import (
    MessageError,
    StatusMessage,
    encode_alive,
    encode_bye,
    encode_changes,
    encode_degraded,
    encode_own,
    encode_snapshot,
    encode_tutorial,
    parse_client_message,
)
from presence_server.presence.roster import Person


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
    assert json.loads(encode_changes("n.2", changes)) == {
        "type": "changes",
        "cursor": "n.2",
        "offline": {"alice": 100},
        "deleted": {"bob": 105},
    }
    assert json.loads(encode_changes("n.2", [])) == {"type": "changes", "cursor": "n.2"}


def test_a_person_takes_at_most_40_bytes_of_a_snapshot() -> None:
    names = [f"user{number:08}" for number in range(1000)]
    here = {name: Person("online", 1_795_420_800, 1, 1) for name in names}
    assert len(encode_snapshot("n.1", 20.0, here)) <= 40 * 1000


def test_small_messages() -> None:
    assert encode_alive("n.1") == '{"type":"alive","cursor":"n.1"}'
    assert encode_degraded(True) == '{"type":"degraded","value":true}'
    assert encode_own(["alice", "bob"]) == '{"type":"own","usernames":["alice","bob"]}'
    assert encode_bye("too_slow", None) == '{"type":"bye","reason":"too_slow"}'
    assert json.loads(encode_bye("restarting", 2.14))["retry_after"] == 2.1


def test_the_tutorials_own_words() -> None:
    assert encode_tutorial("alice", True) == '{"username": "alice", "is_logged_in": true}'


def test_a_status_for_a_connection_and_for_the_user() -> None:
    assert parse_client_message('{"type":"status","status":"away"}') == StatusMessage("away", False)
    assert parse_client_message(
        '{"type":"status","status":"online","scope":"user","more":[1]}'
    ) == StatusMessage("online", True)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"type":"dance"}',
        '{"type":"status"}',
        '{"type":"status","status":"busy"}',
        '{"type":"status","status":"away","scope":"world"}',
        '{"status":"away"}',
    ],
)
def test_what_is_not_known_is_ignored(text: str) -> None:
    assert parse_client_message(text) is None


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
        "[" * 100_000,
        '{"a":' * 2000 + "1" + "}" * 2000,
        '{"a":' + "9" * 5000 + "}",
    ],
)
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        parse_client_message(text)
