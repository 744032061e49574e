"""Who is here: what is known of it before anybody asks."""

from collections.abc import Collection
from functools import partial
from pathlib import Path

from aiohttp import web

from presence_server import relay
from presence_server.accounts import profiles
from presence_server.accounts.profiles import ProfileNews
from presence_server.apps.lines import Lines
from presence_server.apps.rooms import AppRooms
from presence_server.apps.without_socket import WithoutSocket
from presence_server.config import Config
from presence_server.endings import Ending, Endings, EndingsReader, Reason
from presence_server.keys import (
    APPS,
    CONFIG,
    CROWD,
    DATABASE,
    ENDINGS,
    ENDINGS_READER,
    KEYRING,
    LINES,
    ROOMS,
    STORE,
    WITHOUT_SOCKET,
)
from presence_server.live.cover import Cover
from presence_server.live.service import PresenceService
from presence_server.nodes.lives import Lives
from presence_server.notes.store import Store


async def make_presence(app: web.Application, name: str) -> tuple[PresenceService, bool]:
    """And whether other nodes can be heard."""
    config, keyring = app[CONFIG], app[KEYRING]
    channel = relay.open_relay(
        config.redis_url, app[DATABASE].identity, name, keys=keyring.letter_keys
    )
    reached = await channel.check()
    presence = PresenceService(
        name,
        channel,
        grace=config.grace,
        lease=config.lease,
        heartbeat=config.heartbeat,
        hide_last_seen=config.hide_last_seen,
        cover=Cover(keyring.cursor_keys),
        crowd=app[CROWD],
    )
    if not reached:
        presence.begin_unheard()
    return presence, reached


def lives_of(config: Config, node: str) -> Lives:
    database = config.database
    return Lives(database if isinstance(database, Path) else config.key_file, node)


async def read_who_is_known(
    app: web.Application, presence: PresenceService, ended: Collection[str]
) -> ProfileNews:
    """Accounts, apps, and who was here, also at nodes that have surely ended; what changes of
    accounts is heard of from then on."""
    database, config = app[DATABASE], app[CONFIG]
    news = ProfileNews(database, presence.introduce)
    endings = app[ENDINGS_READER] = _endings_reader(app, presence, news)
    app[ENDINGS] = Endings(database, presence.session_ended)
    await endings.open()
    presence.node.profiles.fill(await profiles.everything(database))
    # What is revoked from now on both of them are told.
    await app[APPS].open()
    _open_rooms(app, presence)
    app[STORE] = Store(
        database,
        presence,
        lambda: endings.heeded,
        lease=config.lease,
        alone=config.redis_url is None,
    )
    await app[STORE].open(ended)
    return news


async def meet(
    app: web.Application, presence: PresenceService, ended: Collection[str], *, reached: bool
) -> None:
    """Come to know who is at other nodes, and go on with whom dead ones had."""
    if app[CONFIG].redis_url is not None and reached:
        await presence.settle()
        # What is said before it can answer the others may be held back there, and dropped.
        presence.say_ended_nodes(ended)
    # Before the others have answered nobody can tell who is a dead node's.
    await app[STORE].take_over_dead()
    await presence.meet()
    # Some may have been of an app that is no more.
    app[LINES].heed_apps()


def _endings_reader(
    app: web.Application, presence: PresenceService, news: ProfileNews
) -> EndingsReader:
    def delete(ending: Ending) -> None:
        presence.delete(ending.username, ending.account, ending.ended_at)

    return EndingsReader(
        app[DATABASE],
        due=presence.endings_due,
        end=presence.end,
        heed={
            Reason.DELETED: delete,
            Reason.REVOKED: partial(_revoke, app),
            Reason.PROFILE: news.heed,
        },
    )


def _revoke(app: web.Application, ending: Ending) -> None:
    app[APPS].revoke(ending)
    until = ending.issued_before or ending.ended_at
    app[LINES].revoke(ending.app, ending.username, ending.room, until)


def _open_rooms(app: web.Application, presence: PresenceService) -> None:
    app[ROOMS] = AppRooms(presence, app[CONFIG].max_people_per_room)
    lines = app[LINES] = Lines(app[APPS], app[ROOMS], presence.hub)
    app[WITHOUT_SOCKET] = WithoutSocket(app[ROOMS], lines)
    # Only now: to be made, lines need the apps that are known, and the hub of the presence.
    presence.tell_words(app[WITHOUT_SOCKET].hear)
    app[APPS].tell(lines.heed_apps)
    lines.heed_apps()
