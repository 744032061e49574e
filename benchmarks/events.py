"""Thousands of clients that read Server-Sent Events, as the swarm reads WebSockets."""

from testing.swarm import LARGE, Client, Swarm

_DATA = b"data: "


class EventSwarm(Swarm):
    """Takes each line of data for a message; whatever else is in a stream is passed over."""

    opened = b"HTTP/1.1 200 "

    def close(self, number: int) -> None:
        if (client := self.clients.get(number)) is not None:
            self._forget(client)

    def _read_frames(self, client: Client, start: int, end: int, now: float) -> None:
        while (begin := self._buffer.find(_DATA, start, end)) >= 0:
            begin += len(_DATA)
            if (stop := self._buffer.find(b"\n", begin, end)) < 0:
                break
            start = stop + 1
            payload = None if stop - begin > LARGE else bytes(self._view[begin:stop])
            self.on_message(client.number, payload, now)
        if start < end:
            client.pending = bytes(self._view[start:end])
