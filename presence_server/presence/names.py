"""What rooms and sessions are called: what their keys and tags say."""

from presence_server.presence.records import OWN

LOBBY = "lobby"
# Behind the number of an app, before a user: what they are here by.
LINE, CLAIM = ":", "."
# Of the key of a session's row so much is enough to tell it from all others.
_TAG = 20


def key_of(app: int, room: str) -> str:
    """Of a room of an app, by its name there."""
    return f"{app}/{room}"


def app_of(room: str) -> int:
    """The app whose room it is; 0 for that of the own accounts."""
    return int(room.partition("/")[0]) if room else 0


def name_of(room: str) -> str:
    """What its app calls a room; the one of the own accounts has no name."""
    return room.partition("/")[2]


def is_lobby(room: str) -> bool:
    return name_of(room) == LOBBY


def lobby_of(room: str) -> str | None:
    """The room in which everybody in this room is shown, too."""
    return None if room == OWN or is_lobby(room) else key_of(app_of(room), LOBBY)


def tag_of(room: str, session: str) -> str:
    """What a session is called between nodes."""
    # In an app it is the user, behind a sign that tells lines from claims.
    return session[:_TAG] if room == OWN else session.lstrip("0123456789")


def session_of(app: int, user: str) -> str:
    """To an app the session is the user."""
    return f"{app}{LINE}{user}"


def is_claim(tag: str) -> bool:
    """Whether a user of an app is here by it without a line."""
    return tag.startswith(CLAIM)
