"""The way through the log-in: which page it leads to."""

from urllib.parse import parse_qsl, quote, urlencode

from aiohttp import web

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
