"""What makes the site an application of its own on a phone or a desktop."""

from aiohttp import web

from presence_server.keys import CONFIG
from presence_server.web.static_files import StaticFiles

_ICONS = (("icon-192.png", "192x192"), ("icon-512.png", "512x512"))


class Manifest:
    """The web application manifest: its start is the list, wherever the site lives."""

    def __init__(self, static: StaticFiles) -> None:
        self._static = static

    async def serve(self, request: web.Request) -> web.Response:
        config = request.app[CONFIG]
        start = config.base_path + "/"
        content = {
            "name": config.site_name,
            "short_name": config.site_name,
            "id": start,
            "start_url": start,
            "scope": start,
            "display": "standalone",
            "background_color": "#f5f5f2",
            "theme_color": "#147345",
            # The drawing keeps clear of the edge: a system may cut it to any shape.
            "icons": [
                {
                    "src": self._static.url(name),
                    "sizes": sizes,
                    "type": "image/png",
                    "purpose": "any maskable",
                }
                for name, sizes in _ICONS
            ],
        }
        return web.json_response(content, content_type="application/manifest+json")
