"""What a receiver answers, parsed a little at a time: before its answer it may say `100 Continue`
as often as it likes, and aiohttp would parse all of that."""

from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import BadHttpMessage

# Bytes that are parsed before it is asked again whether the rest is wanted.
_PART = 4096
# Answers that say nothing yet; servers send one or two.
_MOST_INTERIM = 8

_Answer = tuple[RawResponseMessage, aiohttp.StreamReader]


class Answers(ResponseHandler):
    def set_response_params(self, **params: Any) -> None:
        """Before each request."""
        self._interim = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        # Once also without anything new, as aiohttp goes on after a pause.
        for start in range(0, len(data) or 1, _PART):
            super().data_received(data[start : start + _PART])
            if self.exception() is not None:
                return

    def feed_data(self, data: _Answer, size: int = 0) -> None:
        code = data[0].code
        self._interim += 100 <= code < 200 and code != 101
        if self._interim <= _MOST_INTERIM:
            super().feed_data(data, size)
        elif self.exception() is None:
            self.abort()
            self.set_exception(BadHttpMessage("it only ever says that it will answer"))


class Connector(aiohttp.TCPConnector):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory: Any = partial(Answers, loop=self._loop)
