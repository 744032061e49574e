"""Everything an application or a request carries, by typed key."""

import asyncio

from aiohttp import web

from presence_server.storage.database import Database
from presence_server.accounts.finding import Finder
from presence_server.accounts.keyring import Keyring
from presence_server.accounts.passwords import Passwords
from presence_server.accounts.sessions import Session
from presence_server.accounts.throttle import Throttle
from presence_server.apps.known import KnownApps
from presence_server.apps.limits import ApiRates, AppLines, Rate
from presence_server.apps.lines import Lines
from presence_server.apps.rooms import AppRooms
from presence_server.apps.without_socket import WithoutSocket
from presence_server.config import Config
from presence_server.crowd import Crowd
from presence_server.endings import Endings, EndingsReader
from presence_server.identity import Identity
from presence_server.live.service import PresenceService
from presence_server.live.seats import Seats
from presence_server.metrics import Metrics
from presence_server.nodes.pulse import Pulse
from presence_server.notes.store import Store
from presence_server.webhooks.sender import Sender

APPS = web.AppKey("APPS", KnownApps)
API_RATES = web.AppKey("API_RATES", ApiRates)
APP_LINES = web.AppKey("APP_LINES", AppLines)
CONFIG = web.AppKey("CONFIG", Config)
# Known when the database is open.
COOKIE_NAME = web.AppKey("COOKIE_NAME", str)
CROWD = web.AppKey("CROWD", Crowd)
DATABASE = web.AppKey("DATABASE", Database)
ENDINGS = web.AppKey("ENDINGS", Endings)
ENDINGS_READER = web.AppKey("ENDINGS_READER", EndingsReader)
FINDER = web.AppKey("FINDER", Finder)
LINES = web.AppKey("LINES", Lines)
METRICS = web.AppKey("METRICS", Metrics)
KEYRING = web.AppKey("KEYRING", Keyring)
SENDER = web.AppKey("SENDER", Sender)
# The application that an operators' listener tells of.
SITE = web.AppKey("SITE", web.Application)
PASSWORDS = web.AppKey("PASSWORDS", Passwords)
PRESENCE = web.AppKey("PRESENCE", PresenceService)
# How often each account may change what it shows of itself.
PROFILE_RATE = web.AppKey("PROFILE_RATE", Rate)
PULSE = web.AppKey("PULSE", Pulse)
ROOMS = web.AppKey("ROOMS", AppRooms)
SEATS = web.AppKey("SEATS", Seats)
STOPPING = web.AppKey("STOPPING", asyncio.Event)
STORE = web.AppKey("STORE", Store)
THROTTLE = web.AppKey("THROTTLE", Throttle)
WITHOUT_SOCKET = web.AppKey("WITHOUT_SOCKET", WithoutSocket)

# Absent from a request of somebody who has not logged in.
IDENTITY = web.RequestKey("IDENTITY", Identity)
# The row that the identity was found by; absent like it.
SESSION = web.RequestKey("SESSION", Session)
