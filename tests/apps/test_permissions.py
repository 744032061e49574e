import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presence_server.apps.permissions import (
    Permission,
    Permissions,
    is_pattern,
    is_room,
)

ROOMS = {"doc:42": "join", "doc:*": "watch", "doc:4*": "appear", "team-7:*": "watch"}


@pytest.mark.parametrize(
    ("room", "permission"),
    [
        ("doc:42", "join"),
        ("doc:41", "appear"),
        ("doc:4", "appear"),
        ("doc:5", "watch"),
        ("doc:", "watch"),
        ("doc", None),
        ("team-7:x", "watch"),
        ("team-70", None),
        ("DOC:42", None),
        ("lobby", None),
        ("", None),
    ],
)
def test_an_exact_name_beats_the_longest_pattern_that_fits(
    room: str, permission: str | None
) -> None:
    assert Permissions.read(ROOMS).of(room) == permission


def test_a_star_alone_is_every_room_the_lobby_too() -> None:
    everything = Permissions.read({"*": "watch", "lobby": "join"})
    assert everything.of("anything") == "watch"
    assert everything.of("lobby") == "join"


@settings(deadline=None)
@given(st.dictionaries(st.text("ab*", min_size=1, max_size=4), st.sampled_from(Permission)))
def test_the_longest_pattern_is_found_as_by_trying_all(rooms: dict[str, Permission]) -> None:
    rooms = {room: word for room, word in rooms.items() if is_pattern(room)}
    for room in ("a", "ab", "ba", "bab", "c"):
        fitting = [p for p in rooms if p.endswith("*") and room.startswith(p[:-1])]
        best = rooms.get(room) or (rooms[max(fitting, key=len)] if fitting else None)
        assert Permissions(rooms).of(room) is best


def test_what_each_word_allows() -> None:
    allowed = {word.value: (word.sees, word.is_seen) for word in Permission}
    assert allowed == {"join": (True, True), "watch": (True, False), "appear": (False, True)}


@pytest.mark.parametrize("name", ["a", "doc:42", "A_=@.,;:-9", "lobby", "x" * 128])
def test_these_are_rooms(name: str) -> None:
    assert is_room(name) and is_pattern(name)


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b", "a*", "é", "a\n", "\0", "x" * 129, "%41", "a+b", "٣"]
)
def test_these_are_no_rooms(name: str) -> None:
    assert not is_room(name)


@pytest.mark.parametrize("text", ["*", "a*", "x" * 127 + "*"])
def test_these_are_patterns(text: str) -> None:
    assert is_pattern(text) and not is_room(text)


@pytest.mark.parametrize("text", ["**", "a*b", "*a", "x" * 128 + "*", "a*\n"])
def test_these_are_no_patterns(text: str) -> None:
    assert not is_pattern(text)


@pytest.mark.parametrize(
    ("rooms", "said"),
    [
        (None, "no object"),
        (["doc:42"], "no object"),
        ({f"r{n}": "join" for n in range(33)}, "more than 32"),
        ({"a*b": "join"}, "no room and no pattern"),
        ({"": "join"}, "no room and no pattern"),
        ({"doc": "JOIN"}, "other than join"),
        ({"doc": ["join"]}, "other than join"),
        ({"doc": None}, "other than join"),
        ({"doc": {}}, "other than join"),
    ],
)
def test_what_says_nothing_of_rooms_is_refused(rooms: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Permissions.read(rooms)
