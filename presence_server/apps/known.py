"""What a running node knows of the apps: read from the database when anything changed there."""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Iterable

from presence_server.accounts.keyring import Keyring, Unreadable
from presence_server import endings
from presence_server.apps import register
from presence_server.apps.register import App, Key, Secrets
from presence_server.apps.tokens import SigningKey, Token, TokenRefused, read_token
from presence_server.background import next_round
from presence_server.endings import Ending, Reason
from presence_server.storage.database import Database

# Seconds. A change must be heeded within one.
_READ_EVERY = 0.5
# So many revocations are remembered before it is seen which are of use no more.
_REVOCATIONS = 10_000

log = logging.getLogger(__name__)


class KnownApps:
    """Answers from memory: a database that is away holds up nobody who has a token."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._apps: dict[int, App] = {}
        self._secrets: dict[str, tuple[SigningKey, Secrets]] = {}
        # Up to which second tokens are refused, by app, user and room; None: in all rooms.
        self._issued_before: dict[tuple[int, str, str | None], int] = {}
        self._most_revocations = _REVOCATIONS
        self._unreadable: set[str] = set()
        self._change = -1
        self._reading = asyncio.Lock()
        self._tell: Callable[[], None] = lambda: None

    def tell(self, told: Callable[[], None]) -> None:
        """From now on it is told when what is known has changed."""
        self._tell = told

    async def open(self) -> None:
        await register.reseal(self._database, self._keyring)
        for ending in await endings.after(self._database, 0):
            if ending.reason == Reason.REVOKED:
                self.revoke(ending)
        await self.read()

    async def run(self) -> None:
        """Heed changes for ever."""
        while True:
            await next_round(_READ_EVERY)
            # What is known goes on to hold while the database cannot serve.
            await self._database.attempt(self.read())

    async def read(self) -> None:
        """Heed what has changed up to now: worth calling after a change of one's own."""
        async with self._reading:
            changed = await self._read_apps()
        if changed:
            self._tell()

    def all(self) -> list[App]:
        return list(self._apps.values())

    def get(self, app_id: int) -> App | None:
        return self._apps.get(app_id)

    def named(self, name: str) -> App | None:
        return next((app for app in self._apps.values() if app.name == name), None)

    def of_key(self, text: str) -> App | None:
        """The app whose backend shows `KEYID.SECRET`."""
        id, _, secret = text.partition(".")
        found = self._secrets.get(id)
        if found is None:
            return None
        key, secrets = found
        given = secret.encode("utf-8", "surrogatepass")
        return self._apps[key.app] if hmac.compare_digest(secrets.secret.encode(), given) else None

    def token(self, text: str, now: float) -> Token:
        """Check a token. Raises TokenRefused."""
        token = read_token(text, self._signing_key, now)
        if self.is_revoked(token):
            raise TokenRefused("revoked", "The user was revoked after the token was issued.")
        return token

    def revoke(self, ending: Ending) -> None:
        """Heed that the tokens of a user hold no longer that were issued up to a second."""
        who = ending.app, ending.username, ending.room
        until = ending.issued_before or ending.ended_at
        self._issued_before[who] = max(until, self._issued_before.get(who, until))
        if len(self._issued_before) > self._most_revocations:
            self._forget_revocations(int(time.time()) - endings.KEEP)

    def _forget_revocations(self, before: int) -> None:
        """Every token that they concern has ended."""
        kept = {who: until for who, until in self._issued_before.items() if until >= before}
        self._issued_before = kept
        self._most_revocations = 2 * len(kept) + _REVOCATIONS

    def is_revoked(self, token: Token, room: str | None = None) -> bool:
        """Whether its user was revoked since it was issued: altogether, or in one room."""
        return any(
            token.issued_at <= self._issued_before.get((token.app, token.user, where), -1)
            for where in {None, room}
        )

    def has_key(self, token: Token) -> bool:
        """Whether the key that it was signed with still holds."""
        return token.key in self._secrets

    def webhook_secrets(self, app: App) -> list[str]:
        """To sign with: of the key to use first, then of the previous one while it holds."""
        return [self._secrets[k.id][1].webhook_secret for k in app.keys if k.id in self._secrets]

    async def _read_apps(self) -> bool:
        # Before the rest, so that what changes meanwhile is read once more.
        change = await register.last_change(self._database)
        if change == self._change:
            return False
        apps = await register.listed(self._database)
        self._apps = {app.id: app for app in apps}
        self._secrets = self._open_keys(apps)
        self._change = change
        return True

    def _signing_key(self, id: str) -> SigningKey | None:
        found = self._secrets.get(id)
        return found[0] if found else None

    def _open_keys(self, apps: Iterable[App]) -> dict[str, tuple[SigningKey, Secrets]]:
        found = {}
        for app in apps:
            for key in app.keys:
                try:
                    secrets = register.unseal(self._keyring, key)
                except Unreadable:
                    self._complain(app, key)
                else:
                    found[key.id] = SigningKey(app.id, key.id, secrets.secret), secrets
        return found

    def _complain(self, app: App, key: Key) -> None:
        if key.id not in self._unreadable:
            self._unreadable.add(key.id)
            log.error(
                "The key %s of the app %s was sealed with a key file that is not ours: "
                "bring that file back, or give the app a new key with `app rotate`.",
                key.id,
                app.name,
            )
