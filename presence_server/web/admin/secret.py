"""What is shown once, because nobody can read it again."""

from aiohttp import web

from presence_server.web.hosts import site_url
from presence_server.web.rendering import render


async def show_link(
    request: web.Request, *, title: str, sentence: str, path: str, back: str
) -> web.Response:
    """`path` is what the link leads to; `back` the page to go on with."""
    return await show_secrets(
        request, title, sentence, {"Link": site_url(request) + path}, back
    )


async def show_secrets(
    request: web.Request, title: str, sentence: str, secrets: dict[str, str], back: str
) -> web.Response:
    context = {
        "title": title,
        "sentence": sentence,
        "secrets": secrets,
        "back": back,
    }
    return await render(request, "admin_secret.html", context)
