"""The things that people log in with: what they call them, and which of them are known."""

import re
import secrets

from presence_server.accounts.keyring import Keyring

_PROOF = re.compile(r"([0-9a-f]{16})\.([A-Za-z0-9_=-]{44})")

_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("Python/", "Python"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)
# Many a tablet does not say that it is none of the phones.
_KINDS = {
    "iPhone": "mobile",
    "iPad": "mobile",
    "Android": "mobile",
    "Windows": "computer",
    "ChromeOS": "computer",
    "Mac": "computer",
    "Linux": "computer",
}


def device_name(user_agent: str) -> str:
    """Such as "Firefox on Linux". Nothing of what was sent is kept: it could be anything."""
    browser = _first(_BROWSERS, user_agent)
    system = _first(_SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"


def kind_of(name: str) -> str | None:
    """What others may be told of a device by its name: "computer" or "mobile", if it shows."""
    system = name.rpartition(" on ")[2]
    return _KINDS.get(system)


def _first(table: tuple[tuple[str, str], ...], user_agent: str) -> str | None:
    return next((name for mark, name in table if mark in user_agent), None)


def proof_of(keyring: Keyring, device: str | None, user_id: int, password_hash: str) -> str:
    """What a device can show at a later log-in to the account; a new device gets a name first.

    It is worth nothing after a change of the password: whoever knew the old one may have made
    themselves many.
    """
    device = device or secrets.token_hex(8)
    return f"{device}.{keyring.token('device', _bound(device, user_id, password_hash))}"


def is_proof(text: str) -> bool:
    """Whether it looks like one at all."""
    return _PROOF.fullmatch(text) is not None


def device_of(keyring: Keyring, proof: str, user_id: int, password_hash: str) -> str | None:
    """The name of the device that has logged in to the account before, as its proof shows."""
    match = _PROOF.fullmatch(proof)
    if match is None:
        return None
    bound = _bound(match[1], user_id, password_hash)
    return match[1] if keyring.check("device", bound, match[2]) else None


def _bound(device: str, user_id: int, password_hash: str) -> str:
    return f"{device} {user_id} {password_hash}"
