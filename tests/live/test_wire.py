"""What wires write, byte by byte."""

import asyncio

from presence_server.live.farewells import RESTARTING, SESSION_ENDED
from presence_server.live.heartbeat import Heartbeat
from presence_server.live.wire import MOST_WAITING, EventStreamWire, Message, WebSocketWire


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = self.aborted = False
        self.waiting = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True

    def take(self) -> bytes:
        written, self.written = self.written, b""
        return written


def test_a_websocket_frames_texts_of_every_size() -> None:
    frame = WebSocketWire.frame
    assert frame(Message("hi")) == b"\x81\x02hi"
    assert frame(Message("x" * 125))[:2] == b"\x81\x7d"
    assert frame(Message("x" * 126))[:4] == b"\x81\x7e\x00\x7e"
    assert frame(Message("x" * 65_535))[:4] == b"\x81\x7e\xff\xff"
    assert frame(Message("x" * 65_536))[:10] == b"\x81\x7f" + (65_536).to_bytes(8, "big")


def test_a_stream_names_the_type_and_the_cursor_beside_the_message() -> None:
    frame = EventStreamWire.frame
    event = b'event: alive\nid: n.1\ndata: {"type":"alive"}\n\n'
    assert frame(Message('{"type":"alive"}', "alive", "n.1")) == b"2d\r\n%b\r\n" % event
    assert len(event) == 0x2D
    # What has no type and no cursor, as in the tutorial's format.
    assert frame(Message("{}")) == b"a\r\ndata: {}\n\n\r\n"


def test_nothing_is_written_to_a_line_that_is_closing() -> None:
    for make in (WebSocketWire, EventStreamWire):
        transport = Transport()
        transport.closing = True
        wire = make(transport, 1)
        wire.write(b"data", 2)
        assert wire.offer(b"data", 2)
        assert transport.written == b"" and wire.sent == 1


def test_nothing_follows_a_close() -> None:
    for make in (WebSocketWire, EventStreamWire):
        transport = Transport()
        wire = make(transport, 1)
        wire.close(SESSION_ENDED, b"bye", None)
        transport.closing = False
        transport.take()
        wire.write(b"data", 2)
        assert wire.offer(b"data", 2) and transport.written == b""


def test_a_websocket_closes_with_words() -> None:
    transport = Transport()
    WebSocketWire(transport, 1).close(SESSION_ENDED, b"bye", None)
    assert transport.written == b"bye\x88\x17\x11\x31the session has ended"
    # The peer is to answer.
    assert not transport.closing


def test_a_stream_ends_and_says_when_to_come_back() -> None:
    transport = Transport()
    EventStreamWire(transport, 1).close(RESTARTING, b"[bye]", 2.14)
    assert transport.written == b"d\r\nretry: 2140\n\n\r\n[bye]0\r\n\r\n"
    assert transport.closing


def test_a_ping_must_be_answered_with_what_stood_in_it() -> None:
    beat, transport = Heartbeat(20), Transport()
    wire = WebSocketWire(transport, beat.turn)
    for _ in range(3):
        ping = until_pinged(wire, beat, transport)
        wire.pong(ping)
    until_pinged(wire, beat, transport)
    turns = 0
    while wire.keep_alive(beat):
        # Neither an empty pong nor an older one counts.
        wire.pong(b"")
        wire.pong(ping)
        beat.next()
        turns += 1
    assert turns == 10
    assert transport.written == b""


def until_pinged(wire: WebSocketWire, beat: Heartbeat, transport: Transport) -> bytes:
    for _ in range(beat.turns):
        assert wire.keep_alive(beat)
        if written := transport.take():
            assert written[:2] == b"\x89\x04"
            return written[2:]
        beat.next()
    raise AssertionError("no ping in a whole heartbeat")


def test_one_who_is_silent_is_noticed_within_one_and_a_half_heartbeats() -> None:
    for seconds in (1.0, 2.5, 20.0, 300.0):
        beat = Heartbeat(seconds)
        wire = WebSocketWire(Transport(), beat.turn)
        turns = 0
        while wire.keep_alive(beat):
            beat.next()
            turns += 1
        assert turns * beat.interval <= 1.5 * seconds
        assert turns * beat.interval >= 1.25 * seconds


def test_one_who_lags_is_not_asked_for_answers() -> None:
    beat, transport = Heartbeat(20), Transport()
    wire = WebSocketWire(transport, beat.turn)
    until_pinged(wire, beat, transport)
    for _ in range(100):
        beat.next()
        wire.excuse(beat)
    assert wire.keep_alive(beat)


def test_a_quiet_stream_gets_a_comment_within_15_seconds() -> None:
    beat, transport = Heartbeat(20), Transport()
    wire = EventStreamWire(transport, beat.turn)
    for second in range(1, 50):
        beat.next()
        assert wire.keep_alive(beat)
        if second == 20:
            wire.sent = beat.turn
        assert transport.take() == (b"3\r\n:\n\n\r\n" if second in (15, 35) else b""), second


def test_what_waits_is_the_transports_and_too_much_is_not_added_to() -> None:
    for make in (WebSocketWire, EventStreamWire):
        transport = Transport()
        wire = make(transport, 1)
        transport.waiting = MOST_WAITING
        assert wire.waiting() == MOST_WAITING
        assert wire.offer(b"data", 2) and wire.sent == 2
        transport.waiting += 1
        assert not wire.offer(b"more", 3) and wire.sent == 2
        assert transport.take() == b"data"
        # What one of them alone has to be told is written all the same.
        wire.write(b"more", 4)
        assert transport.take() == b"more" and wire.sent == 4


def test_nothing_is_written_to_a_line_that_was_cut() -> None:
    transport = Transport()
    wire = WebSocketWire(transport, 1)
    wire.abort()
    assert transport.aborted
    wire.write(b"data", 2)
    assert wire.offer(b"data", 2) and transport.written == b"" and wire.sent == 1


def test_nobody_is_asked_for_answers_whose_line_ends() -> None:
    beat, transport = Heartbeat(20), Transport()
    wire = WebSocketWire(transport, beat.turn)
    wire.close(SESSION_ENDED, b"", None)
    transport.take()
    for _ in range(beat.turns + 1):
        beat.next()
        wire.keep_alive(beat)
    assert transport.written == b""


def test_a_heartbeat_has_turns_of_a_second_and_eight_at_least() -> None:
    for seconds, turns, interval, patience in (
        (20, 20, 1.0, 10), (1, 8, 0.125, 4), (9.5, 10, 0.95, 5), (300, 300, 1.0, 150)
    ):
        beat = Heartbeat(seconds)
        assert (beat.turns, beat.interval, beat.patience) == (turns, interval, patience)
        assert (beat.seconds, beat.turn, len(beat.payload)) == (seconds, 1, 4)
        before = beat.payload
        beat.next()
        assert beat.turn == 2 and beat.payload != before
        assert beat.turns_in(15.0) == int(15.0 / interval) and beat.turns_in(0.01) == 1
