"""What a node wants done, by whoever drives it: exactly that, in its order."""

from presence_server.presence.commands import (
    Breathe,
    Command,
    Hear,
    ReadEndings,
    Resubscribe,
    Send,
    Tell,
    TellChoice,
    TickSoon,
)
from presence_server.presence.cursors import Uncovered
from presence_server.presence.hearing import Contact
from presence_server.presence.letters import (
    Ask,
    Batch,
    Beat,
    Ended,
    Goodbye,
    Letter,
    Part,
    People,
    Said,
    Words,
)
from presence_server.presence.members import Who
from presence_server.presence.moment import Moment
from presence_server.presence.names import tag_of
from presence_server.presence.node import Node
from presence_server.presence.peer import Life
from presence_server.presence.profiles import Profile
from presence_server.presence.reading import parse_letter
from presence_server.presence.records import OWN, Stay
from presence_server.presence.writing import encode_letter

ME, OTHER, THIRD, FOURTH = (f"{number:016x}" for number in (1, 2, 3, 4))
# As the keys of sessions are: longer than what they are called by between nodes.
KEY = "7c" * 32
NOBODY = People({}, {})


def at(elapsed: float) -> Moment:
    return Moment(elapsed, 1_000 + int(elapsed))


def node(now: Moment = at(0)) -> Node:
    return Node(ME, grace=8, lease=10, now=now)


def hear(one: Node, letter: Letter, now: Moment = at(0)) -> list[Command]:
    return one.receive(encode_letter(letter), now)


def sent(commands: list[Command]) -> list[tuple[Letter, str | None]]:
    return [(parse_letter(one.text), one.to) for one in commands if isinstance(one, Send)]


def opened() -> Node:
    """With alice here, and all said and told of it."""
    one = node()
    one.open(OWN, Who("laptop", "alice", 1), 1, at(0))
    one.tick(at(0))
    return one


class Swapped(Uncovered):
    def cover(self, one: int, other: int) -> str:
        return super().cover(other, one)


def test_who_comes_is_told_and_said_soon() -> None:
    one = node()
    who = Who("laptop", "alice", 1)
    assert one.open(OWN, who, 1, at(0)) == [Tell(frozenset({OWN})), TickSoon()]
    assert one.open(OWN, who, 2, at(0)) == [TickSoon()]
    commands = one.tick(at(0))
    people = People({OWN: {"laptop": Said("alice", 1, "online", 1_000)}}, {})
    assert sent(commands) == [
        (Batch(ME, 1, 0, 1_000, people), None),
        (Beat(ME, 1, 1, 1_000, False, {}), None),
    ]
    assert len(commands) == 2 and one.tick(at(0.1)) == []


def test_who_chooses_is_told_so_themself() -> None:
    one = opened()
    commands = one.choose(0, "alice", "busy", at(0.5))
    assert commands == [TellChoice(0, "alice"), Tell(frozenset({OWN})), TickSoon()]
    ((letter, to), *_) = sent(one.tick(at(0.6)))
    assert isinstance(letter, Batch) and to is None
    assert letter.people.choices[0]["alice"].status == "busy"


def test_what_letters_ask_for_is_done_soon() -> None:
    one = node()
    assert hear(one, Ask(OTHER)) == [TickSoon()]
    assert hear(one, Ended(OTHER)) == [ReadEndings()]
    assert hear(one, Words(OTHER, "7/doc", "alice", {"x": 1})) == [Hear("7/doc", "alice", {"x": 1})]
    assert hear(one, Beat(OTHER, 0, 1, 1_000, False, {})) == []
    assert hear(one, Beat(OTHER, 0, 2, 1_000, True, {})) == [TickSoon()]
    assert hear(one, Goodbye(OTHER)) == []
    # Its own letters ask it for nothing.
    assert hear(one, Ask(ME)) == [] == hear(one, Ended(ME))


def test_whoever_asks_is_told_which_nodes_are_no_more() -> None:
    one, gone = opened(), Goodbye(THIRD)
    assert sent(hear(one, Ask(OTHER))) == []
    assert (gone, None) in sent(one.say_goodbye_of(THIRD))
    assert sent(hear(one, Ask(OTHER))) == [(gone, OTHER)]


def test_a_node_that_is_new_is_asked_and_answered() -> None:
    one = opened()
    hear(one, Ask(OTHER), at(0.5))
    answer, beat, ask = sent(one.tick(at(0.6)))
    people = People({OWN: {"laptop": Said("alice", 1, "online", 1_000)}}, {})
    assert answer == (Part(ME, 1, 1, 0, 1, 1_000, people, {}), OTHER)
    assert beat == (Beat(ME, 1, 2, 1_000, False, {}), None)
    assert ask == (Ask(ME), OTHER)
    # An answer has to have heard that beat.
    assert hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, NOBODY, {ME: 1}), at(0.7)) == []
    assert not one.settled
    hear(one, Part(OTHER, 0, 2, 0, 1, 1_000, NOBODY, {ME: 2}), at(0.8))
    assert one.settled


def test_a_beat_says_for_how_long_people_wait() -> None:
    one = opened()
    one.note_crowd(1.5)
    assert sent(one.tick(at(3))) == [(Beat(ME, 1, 2, 1_003, False, {}, 1.5), None)]


def test_marks_that_were_heard_are_confirmed_at_once_to_who_asks() -> None:
    one = opened()
    hear(one, Beat(ME, 1, 1, 1_000, False, {}), at(0.4))
    hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, NOBODY, {}), at(0.5))
    hear(one, Beat(OTHER, 0, 7, 1_000, False, {}), at(0.5))
    assert sent(one.tick(at(0.6))) == []
    hear(one, Beat(OTHER, 0, 8, 1_000, True, {}), at(0.7))
    assert sent(one.tick(at(0.7))) == [(Beat(ME, 1, 2, 1_000, False, {OTHER: 8}), None)]
    assert sent(one.tick(at(0.8))) == []


def test_who_has_just_subscribed_is_asked_again_what_was_asked_before() -> None:
    one = opened()
    hear(one, Beat(ME, 1, 1, 1_000, False, {}), at(0.4))
    hear(one, Beat(OTHER, 0, 7, 1_000, False, {}), at(0.5))
    question = (Ask(ME), OTHER)
    assert question in sent(one.tick(at(0.5)))
    other = one.peers.get(OTHER)
    assert other is not None
    other.life = Life.NOTED
    hear(one, Ask(OTHER), at(0.6))
    assert question not in sent(one.tick(at(0.6)))
    hear(one, Ask(OTHER, anew=True), at(0.7))
    assert question in sent(one.tick(at(0.7)))
    assert question not in sent(one.tick(at(0.8)))


def test_after_a_new_subscription_all_are_asked() -> None:
    one = opened()
    hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, NOBODY, {}), at(0.5))
    asked = sent(one.subscribed(at(1.0)))
    question = Ask(ME, {OTHER: 0}, anew=True)
    assert asked == [(Beat(ME, 1, 2, 1_001, False, {}), None), (question, None)]
    assert one.degraded and not one.settled
    hear(one, Part(OTHER, 0, 2, 0, 1, 1_001, NOBODY, {ME: 1}), at(1.1))
    assert one.degraded, "that was on its way before"
    hear(one, Part(OTHER, 0, 3, 0, 1, 1_001, NOBODY, {ME: 2}), at(1.2))
    assert not one.degraded


def test_others_are_waited_for_after_it_if_there_are_any() -> None:
    for others in ([], [OTHER], [OTHER, THIRD]):
        one = opened()
        for other in others:
            hear(one, Part(other, 0, 1, 0, 1, 1_000, NOBODY, {}), at(0.5))
        one.subscribed(at(1.0))
        assert one.hearing.contact is (Contact.CATCHES_UP if others else Contact.HEARS)


def test_one_that_hears_itself_again_gives_each_of_the_others_a_whole_lease() -> None:
    one = opened()
    hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, NOBODY, {}), at(0.5))
    one.lost()
    hear(one, Beat(ME, 1, 1, 1_000, False, {}), at(0.9))
    peer = one.peers.get(OTHER)
    assert peer is not None and peer.heard == 0.9 and one.hearing.contact is Contact.CATCHES_UP


def test_letters_that_come_in_do_not_say_that_a_process_runs() -> None:
    one = opened()
    for mark, second in enumerate((0.5, 1.0, 1.1), 1):
        commands = hear(one, Beat(OTHER, 0, mark, 1_000, False, {}), at(second))
        assert (Breathe() in commands) is (second == 1.1)


def test_a_cursor_names_the_batch_with_which_all_is_said() -> None:
    for cover, places in ((None, ("1-1", "1-2")), (Swapped(), ("1-1", "2-1"))):
        one = Node(ME, grace=8, lease=10, now=at(0), cover=cover)
        one.tick(at(0))
        hear(one, Beat(ME, 0, 1, 1_000, False, {}))
        room = one.rooms.own
        one.open(OWN, Who("laptop", "alice", 1), 1, at(0))
        assert room.cursor(1) == f"{ME}.1.{places[0]}", "the next one"
        one.tick(at(0))
        assert room.cursor(1) == f"{ME}.1.{places[0]}"
        one.choose(0, "alice", "busy", at(0))
        assert room.cursor(2) == f"{ME}.2.{places[1]}"


def test_a_cursor_of_another_node_is_good_a_lease_after_that_was_heard_first() -> None:
    one = Node(ME, grace=8, lease=0.5, now=at(0))
    hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, NOBODY, {}))
    hear(one, Beat(OTHER, 0, 1, 1_000, False, {}))
    assert one.rooms.own.resume(f"{OTHER}.7.1-0", at(0.4)) is None
    assert one.rooms.own.resume(f"{OTHER}.7.1-0", at(0.5)) == 0


def test_one_that_hears_nothing_wants_another_subscription() -> None:
    one = opened()
    seconds = [tenth / 2 for tenth in range(1, 13)]
    wanted = [second for second in seconds if Resubscribe() in one.tick(at(second))]
    assert wanted == [3.5], "three tenths of a lease without a beat of its own"
    assert one.degraded
    assert one.lost() == [] and one.degraded


def test_after_a_pause_changes_are_said_once_all_is_seen_to_that_came_in() -> None:
    one = opened()
    hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, NOBODY, {}), at(0))
    hear(one, Beat(OTHER, 0, 7, 1_000, True, {}), at(0))
    one.choose(0, "alice", "busy", at(0.5))
    commands = one.tick(at(6))
    assert commands[0] == Breathe() and TickSoon() in commands
    assert sent(commands) == [(Beat(ME, 1, 2, 1_006, False, {}), None)]
    assert not any(isinstance(command, Tell) for command in commands), "more may have come in"
    one.woke(at(6))
    batch, beat = sent(one.tick(at(6.25)))
    assert isinstance(batch[0], Batch)
    assert beat == (Beat(ME, 2, 3, 1_006, False, {OTHER: 7}), None)
    # What it had said came back, and with it all that others had said before.
    hear(one, Beat(ME, 2, 3, 1_006, False, {}), at(6.3))
    assert sent(one.tick(at(6.4))) == []


def test_after_one_of_a_lease_nothing_at_all_is_said_before() -> None:
    for pause, says in ((9.9, True), (10.0, False)):
        one = opened()
        assert bool(sent(one.tick(at(pause)))) is says
        one.woke(at(pause))
        assert sent(one.tick(at(pause + 0.2))), "a beat, until one of its own has come back"


def test_whoever_waits_is_answered_by_a_beat_at_once_and_then_each_tenth_of_a_second() -> None:
    one = opened()
    hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, NOBODY, {}), at(0))
    beats = []
    for hundredth in range(1, 100):
        now = at(hundredth / 100)
        hear(one, Beat(OTHER, 0, hundredth, 1_000, True, {}), now)
        beats += [now.elapsed for letter, _ in sent(one.tick(now)) if isinstance(letter, Beat)]
    assert len(beats) in (9, 10)


def test_words_and_ends_go_to_all_others() -> None:
    one = node()
    assert sent(one.say_words("7/doc", "alice", {"x": 1}, at(0))) == [
        (Words(ME, "7/doc", "alice", {"x": 1}), None)
    ]
    assert sent(one.say_ended()) == [(Ended(ME), None)]


def test_the_last_letter_is_a_goodbye() -> None:
    one = opened()
    one.close(OWN, "laptop", 1, at(0.5))
    batch, goodbye = sent(one.say_goodbye(at(0.6)))
    said = Said("alice", 1, "online", 1_000, 0.1, 1_000)
    assert isinstance(batch[0], Batch) and batch[0].people.states == {OWN: {"laptop": said}}
    assert goodbye == (Goodbye(ME), None)


def test_another_profile_is_told() -> None:
    one = opened()
    assert one.introduce("alice", Profile("Alice"), at(1)) == [Tell(frozenset({OWN}))]
    assert one.introduce("alice", Profile("Alice"), at(1)) == []
    one.choose(0, "alice", "busy", at(1))
    assert Tell(frozenset({OWN})) in one.introduce("alice", Profile("Alice B"), at(1))
    one.introduce("alice", Profile("Alice"), at(1))
    assert dict(one.rooms.own.roster.here["alice"].about) == {"name": "Alice"}


def test_who_must_go_is_let_go_soon() -> None:
    one = node()
    for room in ("7/a", "7/b"):
        one.open(room, Who("7:alice", "alice"), 1, at(0))
    one.tick(at(0))
    hear(one, Beat(ME, 1, 1, 1_000, False, {}))
    assert TickSoon() in one.end_user(7, "alice", at(0), room="7/a")
    assert not one.own.are_in("7/a", "7:alice") and one.own.are_in("7/b", "7:alice")
    one.end_user(7, "alice", at(0), lines_stay=["7/b"])
    assert one.own.are_in("7/b", "7:alice")
    one.claim("7/b", Who("7.alice", "alice"), at(0))
    one.end_user(7, "alice", at(0), lines_stay=["7/b"])
    assert one.own.are_in("7/b", "7:alice") and not one.own.are_in("7/b", "7.alice")
    assert one.end_user(7, "bob", at(0)) == [TickSoon()], "what was said of alice"
    one.end_user(7, "alice", at(0))
    assert not one.own.are_in("7/b", "7:alice")


def test_an_own_session_goes_by_the_beginning_of_its_key() -> None:
    one = node()
    stay = Stay(OWN, KEY, "alice", 1, "online", 1_000)
    for ends in (False, True):
        one.adopt([stay], at(0.5))
        assert one.own.are_in(OWN, KEY)
        if ends:
            one.end(KEY, 1_001, at(1))
        else:
            one.leave(OWN, KEY, at(1))
        assert not one.own.are_in(OWN, KEY)
    one.adopt([stay], at(1))
    assert not one.own.are_in(OWN, KEY), "it has ended, wherever it was"


def test_an_end_that_others_have_to_confirm_first_is_said_soon() -> None:
    one = opened()
    hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, NOBODY, {}), at(0.5))
    assert one.end("laptop", 1_000, at(0.5)) == [TickSoon()] and one.own.are_in(OWN, "laptop")


def test_of_those_who_go_at_once_each_goes_and_only_what_nobody_says_is_a_conclusion() -> None:
    one = node()
    people = People({OWN: {"phone": Said("bob", 2, "online", 990, 7.9, 992), "tablet": 995}}, {})
    hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, people, {}))
    told = People({OWN: {"tablet": Said("carol", 3, "online", 990)}}, {})
    for sequence, states in enumerate((told, People({OWN: {"tablet": 1_000}}, {})), 1):
        hear(one, Batch(OTHER, sequence, 0, 1_000, states))
    assert set(one.rooms.own.roster.here) == {"bob"} and not one._cursors._concluded
    one.adopt([Stay(OWN, KEY, "alice", 1, "online", 990, resting=7.9)], at(0))
    hear(one, Goodbye(OTHER))
    one.tick(at(0.2))
    assert not one.rooms.own.roster.here and len(one._cursors._concluded) == 1


def test_what_is_closed_that_was_never_open_changes_nothing_after_a_pause_either() -> None:
    one = node()
    one.claim(OWN, Who("laptop", "alice", 1), at(0))
    one.tick(at(2))
    one.close(OWN, "laptop", 7, at(2))
    assert one.own.are_in(OWN, "laptop")


def test_which_other_nodes_show_a_session() -> None:
    one, who = node(), Who(KEY, "alice", 1)
    assert one.elsewhere("7/doc", Who("7:alice", "alice")) == frozenset()
    for other, tag in ((OTHER, KEY[:20]), (THIRD, KEY[:20]), (FOURTH, "phone")):
        people = People({OWN: {tag: Said("alice", 1, "online", 1_000)}}, {})
        hear(one, Part(other, 0, 1, 0, 1, 1_000, people, {}))
    one.open(OWN, who, 1, at(0))
    assert one.elsewhere(OWN, who) == {OTHER, THIRD}


def test_who_is_deleted_is_told_and_their_name_is_free() -> None:
    one = opened()
    one.introduce("alice", Profile("Alice"), at(1))
    one.choose(0, "alice", "busy", at(1), account=1)
    commands = one.delete("alice", 1, 5_000, at(2))
    assert Tell(frozenset({OWN})) in commands and TellChoice(0, "alice") in commands
    gone = one.rooms.own.roster.gone("alice")
    assert gone is not None and (gone.status, gone.since) == ("deleted", 1_002)
    assert not one.own.are_in(OWN, "laptop") and len(one.profiles) == 0
    assert one.choices.holding(0, "alice") is None
    ended = one.choices.newest(0, "alice")
    assert ended is not None and ended.at == 1_001_001
    one.open(OWN, Who("phone", "alice", 2), 1, at(3))
    one.delete("alice", 1, 1_003, at(3))
    assert one.own.are_in(OWN, "phone") and "alice" in one.rooms.own.roster.here


def test_whoever_comes_from_elsewhere_is_asked_about() -> None:
    one = opened()
    hear(one, Part(OTHER, 0, 1, 0, 1, 1_000, NOBODY, {}), at(0.5))
    assert TickSoon() in one.arrive(OWN, Who("phone", "bob", 3), at(1))
    said = [letter for letter, _ in sent(one.tick(at(1.1)))]
    assert [beat.asks for beat in said if isinstance(beat, Beat)] == [True]
    assert one.rooms.own.members.get(tag_of(OWN, "phone")) is not None
    assert not one.knows([OTHER], 1.1) and one.knows([], 1.1) and one.knows(["?"], 1.1)
    hear(one, Beat(OTHER, 0, 1, 1_001, False, {ME: 2}), at(1.2))
    assert one.knows([OTHER], 1.1) and not one.knows([OTHER], 1.2)


def test_a_clock_that_was_set_back_takes_what_is_to_come_with_it() -> None:
    one = opened()
    one.choose(0, "alice", "busy", at(0.5))
    one.tick(at(0.6))
    behind = Moment(0.7, 994)
    one.tick(Moment(0.7, 995))
    assert one.rooms.own.roster.here["alice"].since == 1_000, "five seconds may be a clock's own"
    said = sent(one.tick(behind))
    person = one.rooms.own.roster.here["alice"]
    assert (person.since, person.here) == (994, 994)
    holding = one.choices.holding(0, "alice")
    assert holding is not None and holding.since == 994
    (stay,) = one.take_record(behind).here
    assert (stay.since, stay.came) == (994, 994)
    people = People({OWN: {"laptop": Said("alice", 1, "online", 994)}}, {})
    assert said == [(Batch(ME, 3, 0, 994, people), None)]
