"""Where somebody is led: through the log-in to a page, and to what an address means."""

from urllib.parse import parse_qsl, quote, urlencode

from aiohttp import web

from presence_server.web.hosts import site_path

# With what may be asked there. Nothing else: no address that came with the request is one of ours.
_PAGES = {"/": {"q", "here", "after"}, "/account/": set[str]()}


def page_named(text: str) -> str:
    """The page of ours that `text` names, with its query; empty if it names none."""
    path, _, query = text.partition("?")
    asked = parse_qsl(query)
    if path not in _PAGES or not {name for name, _ in asked} <= _PAGES[path]:
        return ""
    return f"{path}?{urlencode(asked)}" if asked else path


def log_in_first(page: str) -> web.HTTPSeeOther:
    """To the log-in, and from there to a page of ours; without one to the list."""
    return web.HTTPSeeOther("/log_in/" + (f"?next={quote(page)}" if page not in ("", "/") else ""))


async def add_slash(request: web.Request) -> web.Response:
    """For an address that was typed without its end."""
    query = request.rel_url.raw_query_string
    raise web.HTTPPermanentRedirect(site_path(request) + "/" + (query and f"?{query}"))


async def lead_to_change_of_password(request: web.Request) -> web.Response:
    """Where password managers look."""
    raise web.HTTPFound("/account/")
