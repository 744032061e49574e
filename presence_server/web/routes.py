"""Every address of the site, and who answers there."""

from aiohttp import web

from presence_server.web import (
    account,
    api,
    api_description,
    backends,
    links,
    log_in,
    operations,
    operators,
    people,
    rooms,
    sign_up,
)
from presence_server.web.admin import routes as administration
from presence_server.web.bodies import heed_expect
from presence_server.web.cors import preflight
from presence_server.web.live import live
from presence_server.web.manifest import Manifest
from presence_server.web.once import Once
from presence_server.web.onward import add_slash, lead_to_change_of_password
from presence_server.web.single_sign_on import by_password, log_in_page
from presence_server.web.static_files import StaticFiles


def routes(static: StaticFiles) -> list[web.RouteDef]:
    """As if the site had no path."""
    once = Once()
    without_slash = ("/account", "/log_in", "/log_out", "/sign_up", "/users")
    return [
        web.get("/", people.list_users),
        *_doors(once),
        *_account(once),
        *administration.routes(once),
        web.get("/users/", live),
        web.get("/api/users", api.list_users),
        *_for_apps(),
        web.get("/healthz", operations.healthz),
        web.get("/readyz", operations.readyz),
        *_files(static),
        # https://www.w3.org/TR/change-password-url/
        web.get("/.well-known/change-password", lead_to_change_of_password),
        *(web.route("*", path, add_slash) for path in without_slash),
    ]


def operators_routes() -> list[web.RouteDef]:
    """Of the listener for operators."""
    return [
        web.get("/metrics", operators.metrics),
        web.get("/readyz", operators.readyz),
        web.get("/roster", operators.roster),
    ]


def _doors(once: Once) -> list[web.RouteDef]:
    """By which people come in, and go."""
    return [
        web.get("/sign_up/", by_password(sign_up.show_sign_up)),
        web.post("/sign_up/", by_password(once(sign_up.sign_up))),
        web.get("/log_in/", log_in_page(log_in.show_log_in)),
        web.post("/log_in/", by_password(once(log_in.log_in))),
        web.post("/log_out/", once(log_in.log_out)),
        web.get("/invite/{token}", by_password(links.show_invitation)),
        web.post("/invite/{token}", by_password(once(links.accept_invitation))),
        web.get("/reset/{token}", by_password(links.show_reset)),
        web.post("/reset/{token}", by_password(once(links.reset_password))),
    ]


def _account(once: Once) -> list[web.RouteDef]:
    return [
        web.get("/account/", account.show_account),
        web.post("/account/name", account.change_name),
        web.post("/account/last-seen", account.change_last_seen),
        web.post("/account/devices-shown", account.change_devices_shown),
        web.post("/account/password", by_password(once(account.change_password))),
        web.post("/account/end", once(account.end_devices, but={"device": "others"})),
        web.post("/account/delete", by_password(once(account.delete_account))),
        web.get(
            "/account/{form:name|last-seen|devices-shown|password|end|delete}",
            account.show_account_instead,
        ),
    ]


def _for_apps() -> list[web.RouteDef]:
    found = [
        web.get("/api/v1/rooms", backends.list_rooms),
        web.get("/api/v1/rooms/{room}", rooms.read_room),
        web.options("/api/v1/rooms/{room}", preflight),
        web.post("/api/v1/rooms/{room}/me", rooms.say),
        web.options("/api/v1/rooms/{room}/me", preflight),
        web.get("/api/v1/rooms/{room}/visits", backends.list_visits),
        web.put("/api/v1/rooms/{room}/users/{user}", backends.place),
        web.delete("/api/v1/rooms/{room}/users/{user}", backends.revoke),
        web.post("/api/v1/users/query", backends.query_users),
        web.get("/api/v1/users/{user}", backends.read_user),
        web.delete("/api/v1/users/{user}", backends.revoke),
        web.get("/api/v1/openapi.json", api_description.serve),
    ]
    # What aiohttp answers by itself comes before any middleware.
    heeding = {"expect_handler": heed_expect}
    return [
        web.RouteDef(route.method, route.path, route.handler, {**route.kwargs, **heeding})
        for route in found
    ]


def _files(static: StaticFiles) -> list[web.RouteDef]:
    return [
        web.get("/static/{version}/{name:.+}", static.serve),
        web.get("/client/v1/{name}", static.serve_client),
        web.get("/favicon.ico", static.lead_to_icon),
        web.get("/manifest.webmanifest", Manifest(static).serve),
    ]
