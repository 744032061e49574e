"""Thousands of WebSocket clients on one epoll, in one thread.

A load client must never be what limits the measurement, so this one does as little per frame as
Python can: no asyncio, no task per socket, one receive buffer for all, and a payload that many
sockets receive is handed on as it is, for the caller to recognise. It knows just enough of RFC 6455
to talk to a server on the same machine.
"""

import errno
import os
import select
import socket
import struct
import time
from array import array
from collections.abc import Callable

Address = tuple[str, int]

# A frame above this is the list of everybody: it is counted, and only its beginning kept.
LARGE = 64 * 1024
_BEGINNING = 256

_BUFFER = 1024 * 1024
_TEXT, _CLOSE, _PING = 0x1, 0x8, 0x9


class Client:
    __slots__ = ("number", "request", "socket", "open", "pending", "skip", "closed_with")

    def __init__(self, number: int, request: bytes, sock: socket.socket) -> None:
        self.number = number
        self.request = request
        self.socket = sock
        self.open = False
        self.pending = b""
        self.skip = 0
        self.closed_with: int | None = None


def upgrade_request(server: Address, cookie: str, subprotocol: str | None, path: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {server[0]}:{server[1]}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Origin: http://{server[0]}:{server[1]}",
        f"Cookie: {cookie}",
    ]
    if subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode()


def source_address(number: int) -> str:
    """Each thousand clients get an address of their own, so that no address runs out of ports."""
    return f"127.0.{1 + number // 250_000}.{1 + number // 1000 % 250}"


class Swarm:
    """`on_message` gets the client's number, the payload (None when large) and the time."""

    opened = b"HTTP/1.1 101 "

    def __init__(
        self,
        server: Address,
        subprotocol: str | None,
        on_message: Callable[[int, bytes | None, float], None],
        path: str = "/users/",
    ) -> None:
        self.server = server
        # By what logs a client in: a cookie, unless the server asks for something else.
        self.request_of: Callable[[str], bytes] = lambda cookie: upgrade_request(
            server, cookie, subprotocol, path
        )
        self.resuming: Callable[[str, str], bytes] = lambda cookie, cursor: upgrade_request(
            server, cookie, subprotocol, f"{path}?cursor={cursor}"
        )
        self.on_message = on_message
        self.on_large: Callable[[int, bytes], None] = lambda number, beginning: None
        self.on_open: Callable[[int, float], None] = lambda number, now: None
        self.on_close: Callable[[Client, str], None] = lambda client, reason: None
        self.clients: dict[int, Client] = {}
        # Bytes that all of them have read.
        self.received = 0
        self.opening = 0
        # How long each pass over the ready sockets took: nobody waits here longer than two of them.
        self.pass_starts = array("d")
        self.pass_seconds = array("d")
        self._by_fd: dict[int, Client] = {}
        self._epoll = select.epoll()
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._control: int | None = None
        # Whose handshakes are through, and who have not asked yet.
        self._connected: list[int] = []
        # What could not be written to, and why.
        self._broken: list[tuple[Client, str]] = []

    def listen_to(self, fd: int) -> None:
        """`turn` returns True when this descriptor has something to read."""
        self._control = fd
        self._epoll.register(fd, select.EPOLLIN)

    def connect(self, number: int, cookie: str, receive_buffer: int | None = None) -> None:
        self._connect(number, self.request_of(cookie), receive_buffer)

    def resume(self, number: int, cookie: str, cursor: str) -> None:
        """Come back, and read only what was missed."""
        self._connect(number, self.resuming(cookie, cursor), None)

    def _connect(self, number: int, request: bytes, receive_buffer: int | None) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.bind((source_address(number), 0))
        code = sock.connect_ex(self.server)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        client = Client(number, request, sock)
        self.clients[number] = self._by_fd[sock.fileno()] = client
        self.opening += 1
        self._epoll.register(sock.fileno(), select.EPOLLOUT)

    def close(self, number: int) -> None:
        """As a closing tab does: a close frame (1001), then the end of the connection."""
        client = self.clients.get(number)
        if client is None:
            return
        if client.open:
            try:
                client.socket.send(b"\x88\x82\0\0\0\0" + struct.pack("!H", 1001))
            except OSError:
                pass
        self._forget(client)

    def break_off(self, number: int) -> None:
        """As a machine that crashes and comes up: a reset instead of a goodbye."""
        client = self.clients[number]
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._forget(client)

    def send(self, number: int, text: bytes) -> None:
        size = len(text)
        length = bytes((size,)) if size < 126 else b"\x7e" + struct.pack("!H", size)
        # The mask is a bit beside the length, and nothing but zeros.
        head = bytes((0x81, 0x80 | length[0])) + length[1:] + bytes(4)
        self._write(self.clients[number], head + text)

    def turn(self, timeout: float) -> bool:
        """One pass over all that is ready."""
        connected, self._connected = self._connected, []
        events = self._epoll.poll(0 if connected else max(timeout, 0), len(self._by_fd) + 2)
        started = time.monotonic()
        control = False
        for number in connected:
            self._send_request(number)
        for fd, event in events:
            client = self._by_fd.get(fd)
            if client is None:
                control = control or fd == self._control
            elif event & select.EPOLLOUT:
                self._end_handshake(client)
            else:
                self._receive(client)
        self._lose_broken()
        if events:
            self.pass_starts.append(started)
            self.pass_seconds.append(time.monotonic() - started)
        return control

    def _lose_broken(self) -> None:
        broken, self._broken = self._broken, []
        for client, reason in broken:
            if self.clients.get(client.number) is client:
                self._lose(client, reason)

    def _end_handshake(self, client: Client) -> None:
        code = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._lose(client, os.strerror(code))
            return
        self._epoll.modify(client.socket.fileno(), select.EPOLLIN)
        # It asks in the next pass: a socket is said to be connected before the kernel confirms that
        # to the server, and over loopback another processor may take in the request at the same
        # time. Some of those the kernel answers with a reset, while the server serves them.
        self._connected.append(client.number)

    def _send_request(self, number: int) -> None:
        client = self.clients.get(number)
        if client is not None and client.request:
            request, client.request = client.request, b""
            self._write(client, request)

    def _receive(self, client: Client) -> None:
        kept = len(client.pending)
        if kept:
            self._buffer[:kept] = client.pending
            client.pending = b""
        try:
            count = client.socket.recv_into(self._view[kept : _BUFFER - 16])
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(client, error.strerror or str(error))
            return
        if not count:
            self._lose(client, "end of stream")
            return
        self.received += count
        now = time.monotonic()
        start = 0
        if not client.open:
            start = self._read_response(client, kept + count, now)
            if start < 0:
                return
        self._read_frames(client, start, kept + count, now)

    def _read_response(self, client: Client, end: int, now: float) -> int:
        head = self._buffer.find(b"\r\n\r\n", 0, end)
        if head < 0:
            client.pending = bytes(self._view[:end])
            return -1
        if not self._buffer.startswith(self.opened):
            self._lose(client, self._buffer[:head].split(b"\r\n", 1)[0].decode("latin-1"))
            return -1
        client.open = True
        self.opening -= 1
        self.on_open(client.number, now)
        return head + 4

    def _read_frames(self, client: Client, start: int, end: int, now: float) -> None:
        buffer = self._buffer
        if client.skip:
            skipped = min(client.skip, end - start)
            client.skip -= skipped
            start += skipped
            if client.skip:
                return
            self.on_message(client.number, None, now)
        while end - start >= 2:
            length = buffer[start + 1]
            body = start + 2
            if length == 126:
                body += 2
                length = buffer[start + 2] << 8 | buffer[start + 3]
            elif length == 127:
                body += 8
                length = int.from_bytes(self._view[start + 2 : start + 10], "big")
            if body > end:
                break
            if length > LARGE and body + length > end:
                self.on_large(client.number, bytes(self._view[body : min(end, body + _BEGINNING)]))
                client.skip = body + length - end
                return
            if body + length > end:
                break
            self._handle(client, buffer[start], body, body + length, now)
            start = body + length
        if start < end:
            client.pending = bytes(self._view[start:end])

    def _handle(self, client: Client, first: int, body: int, end: int, now: float) -> None:
        if first == 0x80 | _TEXT:
            payload = None if end - body > LARGE else bytes(self._view[body:end])
            self.on_message(client.number, payload, now)
        elif first == 0x80 | _PING:
            self._pong(client, bytes(self._view[body:end]))
        elif first == 0x80 | _CLOSE:
            client.closed_with = self._buffer[body] << 8 | self._buffer[body + 1]
        else:
            raise ValueError(f"frame of an unexpected kind: {first:#x}")

    def _pong(self, client: Client, payload: bytes) -> None:
        # An all-zero mask leaves the payload as it is.
        self._write(client, bytes((0x8A, 0x80 | len(payload), 0, 0, 0, 0)) + payload)

    def _write(self, client: Client, data: bytes) -> None:
        try:
            client.socket.send(data)
        except OSError as error:
            # The kernel says why only once. What was read of it before is still to be handed on.
            self._broken.append((client, error.strerror or str(error)))

    def _lose(self, client: Client, reason: str) -> None:
        self._forget(client)
        self.on_close(client, reason)

    def _forget(self, client: Client) -> None:
        self.opening -= not client.open
        del self.clients[client.number], self._by_fd[client.socket.fileno()]
        client.socket.close()
