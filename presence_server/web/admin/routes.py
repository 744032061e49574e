"""The addresses below /admin/."""

from aiohttp import web

from presence_server.web.admin import accounts, audit_log, imports, invitations
from presence_server.web.admin.gate import act, page
from presence_server.web.once import Once
from presence_server.web.pages import add_slash


def routes(once: Once) -> list[web.RouteDef]:
    return [
        web.get("/admin", page(add_slash)),
        web.get("/admin/", page(accounts.lead_to_list)),
        web.get("/admin/accounts/", page(accounts.show_list)),
        web.post("/admin/accounts/", once(act(accounts.add))),
        web.get("/admin/accounts.csv", page(accounts.export)),
        web.get("/admin/accounts/{account:[0-9]{1,15}}", page(accounts.show)),
        web.post("/admin/accounts/{account:[0-9]{1,15}}/reset", act(accounts.make_reset_link)),
        web.post(
            "/admin/accounts/{account:[0-9]{1,15}}/{act:[a-z]+}", once(act(accounts.change))
        ),
        web.get(
            "/admin/accounts/{account:[0-9]{1,15}}/{act:[a-z]+}", page(accounts.show_instead)
        ),
        web.get("/admin/import/", page(imports.show)),
        web.post("/admin/import/", page(imports.preview)),
        web.post("/admin/import/make", page(once(act(imports.make)))),
        web.get("/admin/import/make", page(imports.show_instead)),
        web.get("/admin/invitations/", page(invitations.show)),
        web.post("/admin/invitations/", act(invitations.add)),
        web.post("/admin/invitations/end", once(act(invitations.end))),
        web.get("/admin/invitations/end", page(invitations.show_instead)),
        web.get("/admin/log/", page(audit_log.show)),
    ]
