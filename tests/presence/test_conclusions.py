"""What one node concludes about others' people, from letters, notes and silence: each rule alone.

The other nodes are voices that say what a test lets them say.
"""

from collections.abc import Iterable

from presence_server.presence.commands import Breathe, Command, Send, Tell
from presence_server.presence.cursors import Uncovered
from presence_server.presence.letters import (
    Ask,
    Batch,
    Beat,
    Goodbye,
    Letter,
    Part,
    People,
    Said,
)
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.peer import Life
from presence_server.presence.reading import parse_letter
from presence_server.presence.records import OWN, Changes, Notes, Stay
from presence_server.presence.states import Status
from presence_server.presence.writing import encode_letter

EPOCH = 1_800_000_000
GRACE, LEASE = 8.0, 10.0
ME, ONE, TWO = (f"{number:016x}" for number in (1, 2, 3))
ALICE = Who("laptop", "alice", 1)


def said(status: Status = "online", resting: float | None = None) -> Said:
    return Said("alice", 1, status, EPOCH, resting, 0 if resting is None else EPOCH)


def stay(status: Status = "online", resting: float | None = None) -> Stay:
    return Stay(OWN, "laptop", "alice", 1, status, EPOCH, "{}", resting)


class Scene:
    """A node, whose own letters come back while the relay works."""

    def __init__(self, *others: str) -> None:
        self.second = 0.0
        self.relay = True
        self.node = Node(ME, grace=GRACE, lease=LEASE, now=self.now)
        self.said: list[Letter] = []
        self.told = 0
        self.others = others
        self.sequences = dict.fromkeys(others, 0)
        self.marks = dict.fromkeys(others, 0)
        self.counter = 0
        for other in others:
            self.tell_all(other)

    @property
    def now(self) -> Moment:
        return Moment(self.second, EPOCH + int(self.second))

    def do(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, Send):
                self.said.append(parse_letter(command.text))
                if self.relay and command.to is None:
                    self.do(self.node.receive(command.text, self.now))
            elif isinstance(command, Tell):
                self.told += 1
            elif isinstance(command, Breathe):
                self.do(self.node.woke(self.now))

    def wait(self, seconds: float, beats: bool = False) -> None:
        for tenth in range(round(seconds * 10)):
            self.second = round(self.second + 0.1, 1)
            self.do(self.node.tick(self.now))
            for other in self.others if beats and tenth % 10 == 0 else ():
                self.confirm(other)

    def stand_still(self, seconds: float) -> None:
        self.second = round(self.second + seconds, 1)

    def open(self) -> None:
        self.do(self.node.open(OWN, ALICE, 1, self.now))

    def close(self) -> None:
        self.do(self.node.close(OWN, "laptop", 1, self.now))

    def is_here(self) -> bool:
        return "alice" in self.node.rooms.own.roster.here

    def is_mine(self) -> bool:
        return self.node.own.are_in(OWN, "laptop")

    def life(self, other: str) -> Life:
        return dict(self.node.peers)[other].life

    # What the others say

    def hear(self, letter: Letter) -> None:
        self.do(self.node.receive(encode_letter(letter), self.now))

    def say(self, other: str, state: Said | int, *, mark: int = 0, skipped: int = 0) -> None:
        self.sequences[other] += 1 + skipped
        people = People({OWN: {"laptop": state}}, {})
        self.hear(Batch(other, self.sequences[other], mark, self.now.unix, people))

    def tell_all(self, other: str) -> None:
        people, heard = People({}, {}), {ME: self.newest_mark}
        sequence = self.sequences[other]
        self.hear(Part(other, sequence, sequence + 1, 0, 1, self.now.unix, people, heard))

    def beat(self, other: str, **heard: int) -> None:
        """`heard` are the newest marks that it has heard, by `me`, `one` and `two`."""
        self.marks[other] += 1
        names = {"me": ME, "one": ONE, "two": TWO}
        marks = {names[name]: mark for name, mark in heard.items()}
        mark, sequence = self.marks[other], self.sequences[other]
        self.hear(Beat(other, sequence, mark, self.now.unix, False, marks))

    def confirm(self, other: str) -> None:
        self.beat(other, me=self.newest_mark)

    @property
    def newest_mark(self) -> int:
        return max((letter.mark for letter in self.said if isinstance(letter, Beat)), default=0)

    def read_notes(
        self,
        stays: dict[str, list[Stay]] | None = None,
        changes: dict[str, Changes] | None = None,
    ) -> None:
        """All others have written once more."""
        self.counter += 1
        counters = dict.fromkeys(self.others, self.counter)
        notes = Notes(counters, stays or {}, [], changes=changes or {})
        self.do(self.node.heed(notes, self.second, self.now))

    def read_counters(self) -> None:
        """All others have written once more, which need not be read, for they are heard."""
        self.counter += 1
        counters = dict.fromkeys(self.others, self.counter)
        self.do(self.node.heed(Notes(counters, None, []), self.second, self.now))

    def fall_deaf(self) -> None:
        self.relay = False
        self.do(self.node.lost())

    def resumes(self, mark: int, sequence: int) -> bool:
        """Whether a cursor of the first of the others is good here."""
        cursor = f"{ONE}.7.{Uncovered().cover(mark, sequence)}"
        return self.node.rooms.own.resume(cursor, self.now) is not None


# Letting go


def test_who_hears_nothing_lets_nobody_go_before_reading_what_others_wrote() -> None:
    """Also one that knows of no others: there may be some that were never heard."""
    scene = Scene()
    scene.open()
    scene.close()
    scene.fall_deaf()
    scene.wait(GRACE - 1)
    scene.read_notes()
    scene.wait(6)
    assert scene.is_here()
    scene.read_notes()
    scene.wait(0.1)
    assert not scene.is_here()


def test_who_left_goes_at_once_when_a_batch_shows_that_all_had_confirmed() -> None:
    for confirmed in (False, True):
        scene = Scene(ONE, TWO)
        scene.say(ONE, said())
        scene.beat(TWO, one=6 if confirmed else 5)
        asked = scene.newest_mark
        scene.say(ONE, EPOCH, mark=6)
        assert scene.is_here() != confirmed
        if not confirmed:
            scene.wait(1)
            assert scene.is_here() and scene.newest_mark > asked, "it asks by itself"
            scene.confirm(ONE)
            assert scene.is_here()
            scene.confirm(TWO)
            assert not scene.is_here()


def test_a_node_that_began_later_is_not_waited_for() -> None:
    scene = Scene(ONE)
    scene.open()
    scene.close()
    scene.wait(GRACE + 0.1)
    scene.sequences[TWO] = scene.marks[TWO] = 0
    scene.beat(TWO)
    assert scene.is_here()
    scene.confirm(ONE)
    assert not scene.is_here(), "it lets nobody in before others have answered it"


def test_a_node_that_lived_for_a_moment_is_waited_for_only_if_somebody_was_there() -> None:
    for had_lines in (False, True):
        scene = Scene(ONE, TWO)
        scene.open()
        scene.close()
        scene.read_counters()
        if had_lines:
            scene.sequences[TWO] = 1
            bob = People({OWN: {"phone": said()._replace(user="bob")}}, {})
            scene.hear(Batch(TWO, 1, 0, scene.now.unix, bob))
        scene.wait(1, beats=True)
        scene.others = (ONE,)
        for written in range(round(2 * GRACE)):
            scene.wait(0.5, beats=True)
            counters = {ONE: scene.counter + written, TWO: scene.counter}
            scene.do(scene.node.heed(Notes(counters, None, []), scene.second, scene.now))
        scene.wait(0.5, beats=True)
        assert scene.is_mine() == had_lines


def test_a_session_that_ended_is_waited_for_longer_where_nobody_is_heard() -> None:
    for deaf, waits in ((False, 1.0), (True, 2.5)):
        scene = Scene(ONE)
        scene.wait(1, beats=True)
        scene.open()
        if deaf:
            scene.fall_deaf()
        scene.do(scene.node.end("laptop", scene.now.unix, scene.now))
        scene.wait(waits - 0.1)
        assert scene.is_here()
        scene.wait(0.3)
        assert not scene.is_here()


def test_a_grace_does_not_run_while_the_process_stands_still() -> None:
    scene = Scene()
    scene.wait(1)
    scene.open()
    scene.close()
    scene.wait(1)
    scene.stand_still(5)
    scene.wait(GRACE - 2)
    assert scene.is_here()
    scene.wait(2)
    assert not scene.is_here()


def test_nothing_is_told_after_a_pause_before_all_is_read_that_came_in() -> None:
    scene = Scene(ONE)
    scene.wait(1, beats=True)
    told, scene.relay = scene.told, False
    scene.stand_still(3)
    scene.say(ONE, said())
    scene.wait(0.3)
    assert scene.is_here() and scene.told == told
    scene.relay = True
    scene.wait(0.3)
    assert scene.told == told + 1


def test_a_beat_names_only_what_is_said_to_all() -> None:
    scene = Scene(ONE)
    scene.wait(3, beats=True)
    before = scene.node.hearing.said_version
    asks = [letter for letter in scene.said if isinstance(letter, Ask)]
    scene.stand_still(1.5)
    # Who has stood still says nothing of people before all is seen to that came in.
    commands = scene.node.open(OWN, ALICE, 1, scene.now)
    scene.do([*scene.node.subscribed(scene.now), *commands])
    assert scene.node.hearing.said_version == before < scene.node.versions.newest
    scene.wait(0.5)
    # All are asked at once, and one by one only if that is not answered.
    assert len([letter for letter in scene.said if isinstance(letter, Ask)]) == len(asks) + 1
    scene.wait(3)
    assert scene.node.hearing.said_version == scene.node.versions.newest


def test_a_beat_after_a_new_subscription_confirms_only_what_is_said() -> None:
    scene = Scene(ONE)
    scene.wait(1, beats=True)
    scene.open()
    scene.said.clear()
    scene.do(scene.node.subscribed(scene.now))
    assert [type(letter) for letter in scene.said] == [Batch, Beat, Ask]


# Giving way


def test_a_grace_gives_way_to_a_line_of_which_another_node_is_sure() -> None:
    scene = Scene(ONE)
    scene.wait(1, beats=True)
    scene.open()
    scene.close()
    scene.say(ONE, said())
    assert scene.is_mine(), "it may have been lost there meanwhile"
    scene.wait(2.5)
    scene.confirm(ONE)
    assert not scene.is_mine() and scene.is_here()


def test_a_grace_gives_way_to_a_line_that_is_read_of() -> None:
    scene = Scene(ONE)
    scene.wait(1, beats=True)
    scene.open()
    scene.fall_deaf()
    scene.close()
    for number in range(6):
        scene.wait(0.5)
        scene.read_notes({ONE: [stay()]})
    assert not scene.is_mine() and scene.is_here()
    newest = scene.newest_mark
    scene.wait(0.2)
    gone = [letter for letter in scene.said if isinstance(letter, Batch)][-1]
    assert gone.people.states == {OWN: {"laptop": EPOCH + 1}}
    assert gone.mark == newest + 1, "who only hears this node has not read the same"


def test_what_rests_of_a_session_at_a_node_that_is_gone_gives_way_to_its_line() -> None:
    scene = Scene(ONE, TWO)
    scene.say(ONE, said())
    scene.hear(Goodbye(ONE))
    scene.others = (TWO,)
    scene.say(TWO, said())
    scene.wait(1)
    assert set(scene.node.rooms.own.views) == {ONE, TWO}
    scene.confirm(TWO)
    assert set(scene.node.rooms.own.views) == {TWO} and scene.is_here()


def test_who_leaves_here_stays_where_another_node_has_a_line_of_theirs() -> None:
    scene = Scene(ONE)
    scene.open()
    scene.say(ONE, said())
    scene.do(scene.node.leave(OWN, "laptop", scene.now))
    scene.wait(3, beats=True)
    assert not scene.is_mine() and scene.is_here()


# What is read


def test_what_others_wrote_is_shown_as_it_was_written() -> None:
    scene = Scene(ONE)
    scene.fall_deaf()
    scene.wait(5)
    written = Stay(OWN, "laptop", "alice", 1, "away", EPOCH - 7, '{"n": 1}', 2.0)
    for _ in range(3):
        scene.wait(0.5)
        scene.read_notes({ONE: [written]})
    entry = scene.node.rooms.own.views[ONE]["laptop"]
    assert entry[:4] == ("alice", 1, "away", EPOCH - 7)
    assert entry.left == scene.second - 2 and entry.left_second == scene.now.unix - 2
    assert entry.order == 0 and entry.about == {"n": 1}
    scene.read_notes({ONE: [stay()]})
    entry = scene.node.rooms.own.views[ONE]["laptop"]
    assert (entry.left, entry.left_second) == (None, 0)


def test_of_a_node_that_was_heard_only_that_is_to_be_read_which_it_wrote_since() -> None:
    scene = Scene(ONE)
    scene.say(ONE, said())
    for _ in range(6):
        scene.wait(1, beats=True)
        scene.read_counters()
    noted = scene.node.heeding.noted()[ONE]
    assert noted is not None and scene.counter - 4 < noted <= scene.counter
    scene.fall_deaf()
    scene.wait(1)
    noah = Stay(OWN, "phone", "noah", 2, "busy", EPOCH)
    for changes in (Changes([noah], ()), None, None):
        scene.read_notes(changes={} if changes is None else {ONE: changes})
        scene.wait(0.5)
    here = scene.node.rooms.own.roster.here
    assert (here["alice"].status, here["noah"].status) == ("online", "busy")
    assert scene.node.heeding.noted()[ONE] == scene.counter
    for changes in (Changes([], {(OWN, "laptop")}), None, None):
        scene.read_notes(changes={} if changes is None else {ONE: changes})
        scene.wait(0.5)
    assert set(here) == {"noah"}
    peer = scene.node.peers.get(ONE)
    assert peer is not None and peer.noted_instead == {(OWN, "laptop"), (OWN, "phone")}
    assert scene.node.peers.told_to == {ONE: peer.sequence}, "of all others it is what was said"


def test_who_was_read_of_or_given_up_has_to_tell_all() -> None:
    for is_read in (True, False):
        scene = Scene(ONE)
        scene.say(ONE, said())
        assert scene.node.peers.told_to == {ONE: 1}
        scene.fall_deaf()
        for _ in range(3 if is_read else 0):
            scene.wait(0.5)
            scene.read_notes({ONE: [stay()]})
        if not is_read:
            scene.node.others.begin_graces(ONE, scene.now.elapsed, scene.now)
        assert scene.node.peers.told_to == {}


def test_changes_that_wait_to_be_believed_come_together() -> None:
    scene = Scene(ONE)
    scene.fall_deaf()
    scene.wait(1)
    scene.say(ONE, said())
    scene.read_notes({ONE: [stay(), Stay(OWN, "phone", "noah", 2, "online", EPOCH)]})
    scene.read_notes(changes={ONE: Changes([stay("away")], {(OWN, "phone")})})
    assert scene.node.rooms.own.roster.here["alice"].status == "online"
    scene.read_notes()
    here = scene.node.rooms.own.roster.here
    assert {user: person.status for user, person in here.items()} == {"alice": "away"}


def test_all_is_to_be_read_of_a_node_that_was_taken_for_dead() -> None:
    scene = Scene(ONE)
    scene.wait(4)
    for _ in range(3):
        scene.wait(0.5)
        scene.read_notes({ONE: [stay()]})
    assert scene.node.heeding.noted() == {ONE: scene.counter}
    for _ in range(24):
        scene.wait(0.5)
        scene.counter -= 1
        scene.read_notes()
    assert scene.life(ONE) is Life.SILENT and scene.node.heeding.noted() == {}
    scene.wait(0.5)
    scene.read_notes(changes={ONE: Changes([], ())})
    assert scene.node.heeding.noted() == {ONE: None}
    assert scene.node.rooms.own.views[ONE]["laptop"].left is not None
    scene.read_notes({ONE: [stay()]})
    assert scene.node.rooms.own.views[ONE]["laptop"].left is None


def test_the_last_words_of_a_node_that_stopped_are_as_good_as_its_goodbye() -> None:
    for resting in (None, 3.0):
        scene = Scene(ONE)
        scene.say(ONE, said())
        scene.wait(1, beats=True)
        scene.fall_deaf()
        scene.wait(1)
        last = Notes({}, {}, [], stopped={ONE: [stay("away", resting)]})
        scene.do(scene.node.heed(last, scene.second, scene.now))
        assert scene.life(ONE) is Life.LEFT
        scene.hear(Batch(ONE, 9, 0, EPOCH, People({OWN: {"laptop": said()}}, {})))
        assert scene.node.rooms.own.roster.here["alice"].status == "away"
        scene.others = ()
        scene.wait(GRACE - (resting or 0) - 0.2)
        scene.read_notes()
        assert scene.is_here()
        scene.wait(0.4)
        scene.read_notes()
        assert not scene.is_here()


def test_a_node_that_is_gone_from_the_database_is_gone_for_who_hears_nothing() -> None:
    for deaf in (False, True):
        scene = Scene(ONE)
        scene.say(ONE, said())
        scene.wait(1, beats=True)
        scene.read_notes()
        if deaf:
            scene.fall_deaf()
        scene.wait(0.5)
        scene.others = ()
        scene.read_notes()
        entry = scene.node.rooms.own.views[ONE]["laptop"]
        assert entry.left == (scene.second if deaf else None)
        assert scene.life(ONE) is (Life.SILENT if deaf else Life.CURRENT)
        assert scene.node.degraded is deaf and not scene.node.peers.unconfirmed


def test_a_silent_node_lives_when_it_is_seen_to_write() -> None:
    scene = Scene(ONE)
    scene.wait(1, beats=True)
    scene.read_notes()
    scene.wait(LEASE + 1)
    assert scene.life(ONE) is Life.SILENT
    scene.counter -= 1
    scene.read_notes()
    assert scene.life(ONE) is Life.SILENT
    scene.read_notes()
    assert scene.life(ONE) is Life.NOTED


def test_a_reading_says_nothing_while_others_perhaps_cannot_write() -> None:
    scene = Scene()
    scene.open()
    scene.close()
    scene.fall_deaf()
    scene.wait(GRACE + 1)
    for could_write in (False, True):
        notes = Notes({}, {}, [], others_could_write=could_write)
        scene.do(scene.node.heed(notes, scene.second, scene.now))
        assert scene.is_here() != could_write


# What is old


def test_what_is_read_takes_the_place_of_what_was_heard_only_when_it_is_surely_newer() -> None:
    scene = Scene(ONE)
    scene.wait(1, beats=True)
    scene.read_notes()
    scene.wait(0.1)
    scene.say(ONE, said())
    scene.fall_deaf()
    for number in range(3):
        scene.wait(0.5)
        scene.read_notes({ONE: []})
        assert scene.node.rooms.own.views[ONE]
        assert len(scene.node._departures) == (number == 2)


def test_a_claim_ends_when_it_was_to_however_late_it_is_read() -> None:
    scene = Scene(ONE)
    scene.wait(3.9, beats=True)
    claim = People({"7/doc": {".bot": Said("bot", 0, "online", EPOCH, GRACE - 20)}}, {})
    letter = Batch(ONE, 1, 0, scene.now.unix, claim)
    scene.stand_still(8.1)
    scene.hear(letter)
    scene.hear(Goodbye(ONE))
    roster = scene.node.rooms.open("7/doc").roster
    scene.wait(11.7)
    assert "bot" in roster.here, "no sooner, although letters say whole seconds"
    scene.wait(3)
    assert "bot" not in roster.here


def test_who_has_rested_for_a_grace_is_not_shown_anew() -> None:
    scene = Scene(ONE)
    scene.say(ONE, said(resting=GRACE))
    assert not scene.is_here()
    scene.say(ONE, said(resting=GRACE - 1))
    assert scene.is_here()
    scene.say(ONE, said("away", resting=GRACE))
    assert scene.node.rooms.own.roster.here["alice"].status == "away"


def test_a_session_that_has_ended_is_not_shown_whoever_says_so() -> None:
    scene = Scene(ONE)
    scene.do(scene.node.end("laptop", EPOCH, scene.now))
    scene.say(ONE, said())
    assert not scene.is_here()


# Cursors of other nodes


def steady(*others: str) -> Scene:
    scene = Scene(*others)
    scene.wait(LEASE + 1, beats=True)
    assert scene.resumes(scene.marks[ONE], 0)
    return scene


def test_a_cursor_from_before_something_was_missed_is_not_good() -> None:
    scene = steady(ONE)
    before = scene.marks[ONE]
    scene.say(ONE, said(), skipped=1)
    assert not scene.resumes(before, 2)
    scene.wait(1)
    scene.tell_all(ONE)
    assert not scene.resumes(before, 2)
    scene.wait(1, beats=True)
    assert scene.resumes(scene.marks[ONE], 2) and not scene.resumes(before, 2)


def test_a_cursor_with_a_batch_that_has_not_come_is_not_good() -> None:
    scene = steady(ONE)
    assert not scene.resumes(scene.marks[ONE], 1)
    scene.say(ONE, said())
    assert scene.resumes(scene.marks[ONE], 1)


def test_no_cursor_is_good_while_it_is_in_doubt_who_is_here() -> None:
    scene = steady(ONE, TWO)
    scene.say(TWO, said())
    scene.others = (ONE,)
    scene.wait(2, beats=True)
    assert scene.resumes(scene.marks[ONE], 0)
    scene.wait(2, beats=True)
    assert not scene.resumes(scene.marks[ONE], 0), "the other one is silent"
    scene.confirm(TWO)
    scene.wait(1, beats=True)
    assert scene.resumes(scene.marks[ONE], 0)
    scene.hear(Goodbye(TWO))
    scene.wait(2, beats=True)
    assert scene.is_here() and not scene.resumes(scene.marks[ONE], 0), "alice may have moved"
    scene.wait(GRACE + 1, beats=True)
    assert not scene.is_here() and scene.resumes(scene.marks[ONE], 0)
