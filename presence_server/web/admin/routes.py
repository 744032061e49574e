"""The addresses below /admin/.

Few acts are wrapped in Once: what is switched off, on, and off again is not one form sent twice.
"""

from aiohttp import hdrs, web

from presence_server.web.admin import (
    accounts,
    accounts_csv,
    apps,
    audit_log,
    imports,
    invitations,
    now,
    rooms,
    visits,
)
from presence_server.web.admin.gate import act, page
from presence_server.web.once import Once
from presence_server.web.onward import add_slash
from presence_server.web.single_sign_on import by_password


def routes(once: Once) -> list[web.RouteDef]:
    account = "/admin/accounts/{account:[0-9]{1,15}}"
    app = "/admin/apps/{app:[0-9]{1,15}}"
    there = [
        web.get("/admin/", page(now.show)),
        web.get("/admin/accounts/", page(accounts.show_list)),
        web.post("/admin/accounts/", by_password(once(act(accounts.add)))),
        web.get("/admin/accounts.csv", page(accounts_csv.export)),
        web.get(account, page(accounts.show)),
        web.post(f"{account}/reset", by_password(act(accounts.make_reset_link))),
        web.post(f"{account}/name", act(accounts.give_name)),
        web.post(account + "/{act:[a-z]+}", act(accounts.change)),
        web.get(account + "/{act:[a-z]+}", page(accounts.show_instead)),
        web.get("/admin/import/", by_password(page(imports.show))),
        web.post("/admin/import/", by_password(page(imports.preview))),
        web.post("/admin/import/make", by_password(page(once(act(imports.make))))),
        web.get("/admin/import/make", by_password(page(imports.show_instead))),
        web.get("/admin/invitations/", by_password(page(invitations.show))),
        web.post("/admin/invitations/", by_password(once(act(invitations.add)))),
        web.post("/admin/invitations/end", by_password(once(act(invitations.end)))),
        web.get("/admin/invitations/end", by_password(page(invitations.show_instead))),
        web.get("/admin/apps/", page(apps.show_list)),
        web.post("/admin/apps/", once(act(apps.add))),
        web.get(app, page(apps.show)),
        web.post(f"{app}/set", act(apps.change_settings)),
        web.post(f"{app}/rotate", once(act(apps.rotate))),
        web.post(f"{app}/token", act(apps.make_token)),
        web.post(app + "/{act:[a-z]+}", act(apps.change)),
        web.get(app + "/{act:[a-z]+}", page(apps.show_instead)),
        web.get("/admin/rooms/", page(rooms.show)),
        web.get("/admin/visits/", page(visits.show)),
        web.get("/admin/visits.csv", page(visits.export)),
        web.get("/admin/log/", page(audit_log.show)),
    ]
    shown = (route.path for route in there if route.method == hdrs.METH_GET)
    without_slash = (path.removesuffix("/") for path in shown if path.endswith("/"))
    return [*there, *(web.get(path, page(add_slash)) for path in without_slash)]
