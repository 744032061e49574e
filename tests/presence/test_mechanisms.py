"""Mechanisms of the rules, each taken out: what does not hold then is noticed.

A rule that can be taken out without a word is not needed, or not tested.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from presence_server.presence.choices import Choices
from presence_server.presence.choosing import Choosing
from presence_server.presence.cursors import Cursors
from presence_server.presence.hearing import Contact, Hearing
from presence_server.presence.heeding import Heeding
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.others import Others
from presence_server.presence.past import Past
from presence_server.presence.peer import Life, Peer
from presence_server.presence.peer_clock import PeerClock
from presence_server.presence.peer_notes import PeerNotes
from presence_server.presence.peers import Peers
from presence_server.presence.people import People
from presence_server.presence.recent import Recent
from presence_server.presence.records import Stay
from presence_server.presence.room import Room
from presence_server.presence.roster import Roster
from presence_server.presence.visits import Visits
from tests.presence import (
    test_choosing as choosing,
    test_cluster as cluster,
    test_commands as commands,
    test_compound as compound,
    test_conclusions as conclusions,
    test_heeding as heeding,
    test_others as others,
    test_roster as roster,
    test_statuses as statuses,
)
from tests.presence.cluster_model import play
from tests.presence.found_runs import FOUND


class Mutant(NamedTuple):
    """Something else in the place of a method, and what then fails."""

    owner: type
    method: str
    other: Callable[..., Any]
    notices: Callable[[], Any]


def run(name: str) -> Callable[[], Any]:
    return lambda: play(FOUND[name])


def nothing(*_: Any, **__: Any) -> list[Any]:
    return []


amend, begin_graces, count = Others.amend, Others.begin_graces, Peer.count
see, settle = Visits.see, Roster.settle


def begin_graces_as_if_heard(self: Others, node: str, left: float, now: Moment) -> None:
    peer = self._peers.get(node)
    assert peer is not None
    peer.heard = now.elapsed
    begin_graces(self, node, left, now)


def hears_if_current(self: Heeding, peer: Peer, now: Moment) -> bool:
    return self._hearing.contact is Contact.HEARS and peer.life is Life.CURRENT


MUTANTS = {
    "a node that has not been heard lately does not count as heard": Mutant(
        Heeding,
        "_hears",
        hears_if_current,
        heeding.test_notes_do_not_matter_of_a_node_that_has_been_heard_lately,
    ),
    "what was not read of a node that is heard does not count as read": Mutant(
        Peer,
        "count",
        lambda self, counter, at, with_stays: count(self, counter, at, with_stays=True),
        heeding.test_counters_alone_do_not_say_that_all_was_read,
    ),
    "what a node concluded by itself is told whoever comes from elsewhere": Mutant(
        Cursors,
        "note_conclusion",
        nothing,
        lambda: compound.test_who_comes_from_a_node_that_reads_no_ends_is_told_of_them(True),
    ),
    "whom others show whose session has ended is told whoever comes from elsewhere": Mutant(
        Roster,
        "refuse",
        nothing,
        lambda: compound.test_who_comes_from_a_node_that_reads_no_ends_is_told_of_them(False),
    ),
    "whoever comes from elsewhere is known at once": Mutant(
        Node,
        "arrive",
        nothing,
        lambda: compound.test_who_moves_to_a_node_that_stands_still_before_it_could_ask_stays(0.05),
    ),
    "whoever comes from elsewhere is asked after": Mutant(
        Node,
        "elsewhere",
        lambda *_: frozenset(),
        lambda: statuses.test_what_is_on_its_way_is_waited_for(0.25),
    ),
    "whom another node has just taken over is heard of before anybody is let in": Mutant(
        Node,
        "has_met",
        lambda self, at: self.peers.are_known,
        lambda: compound.test_of_two_nodes_that_start_at_once_both_know_whom_one_of_them_took_over(
            False
        ),
    ),
    "what a node wrote that has not answered yet is believed": Mutant(
        Peer,
        "has_written_newer",
        lambda self: self.written_at >= self.heard,
        heeding.test_of_one_that_does_not_answer_is_shown_what_it_wrote,
    ),
    "after a pause it is read who goes on writing": Mutant(
        Hearing,
        "notes_unread_since",
        lambda *_: math.inf,
        lambda: compound.test_after_a_pause_it_is_read_who_goes_on_writing_before_anybody_is_let_go(
            2.0
        ),
    ),
    "others write down that a node spoke which cannot write": Mutant(
        Peers,
        "speaking",
        lambda *_: {},
        compound.test_a_node_that_starts_knows_that_another_one_spoke_when_it_could_not_write,
    ),
    "of rows that changed those count that are gone": Mutant(
        Others,
        "amend",
        lambda self, node, peer, states, gone, *at: amend(self, node, peer, states, (), *at),
        conclusions.test_of_a_node_that_was_heard_only_that_is_to_be_read_which_it_wrote_since,
    ),
    "of a node that was heard it is known from which counter on to read": Mutant(
        PeerNotes,
        "hear_instead",
        nothing,
        conclusions.test_of_a_node_that_was_heard_only_that_is_to_be_read_which_it_wrote_since,
    ),
    "of a node that was taken for dead all is read": Mutant(
        PeerNotes,
        "forget",
        nothing,
        conclusions.test_all_is_to_be_read_of_a_node_that_was_taken_for_dead,
    ),
    "who knows the rest is told what changed": Mutant(
        Recent, "reaches", lambda *_: False, cluster.test_an_outage_costs_what_changed
    ),
    "whom notes told of is known for certain once a letter names them": Mutant(
        Peer, "_hear_of", nothing, cluster.test_an_outage_costs_what_changed
    ),
    "a claim that is read late ends when it was to": Mutant(
        PeerClock,
        "lateness",
        lambda *_: 0,
        others.test_of_a_claim_the_second_of_its_end_stays_and_it_ends_when_its_backend_said,
    ),
    "whichever node lets somebody go last, they left when they were here last": Mutant(
        Roster,
        "_last_second",
        lambda self, user, since: since,
        roster.test_who_is_let_go_by_a_node_that_knew_less_left_when_they_were_here_last,
    ),
    "people of a node that fell silent left when it was heard last": Mutant(
        Others,
        "begin_graces",
        begin_graces_as_if_heard,
        others.test_who_was_at_a_silent_node_left_when_it_was_heard_last,
    ),
    "of whom a dead node had all say the second that was said first": Mutant(
        Roster,
        "said_without",
        lambda self, source, user, since: since,
        roster.test_of_whom_two_nodes_saw_go_at_about_the_same_time_the_first_word_holds,
    ),
    "who becomes visible comes then": Mutant(
        Roster,
        "settle",
        lambda self, user, since, came=0: settle(self, user, since),
        lambda: statuses.test_somebody_who_was_invisible_comes_when_they_show_themselves(1),
    ),
    "a cursor waits for choices that are yet to be said": Mutant(
        Node,
        "_last_sequence",
        lambda self: self._outbox.sequence + self.rooms.has_unsaid,
        commands.test_a_cursor_names_the_batch_with_which_all_is_said,
    ),
    "a name that is somebody else's was given up": Mutant(
        Roster,
        "account",
        lambda *_: 0,
        roster.test_a_name_that_is_somebody_elses_was_given_up_before,
    ),
    "what is no news to observers is looked at": Mutant(
        People,
        "changed_since",
        lambda self, version: dict(self.changes_since(version) or ()),
        run("a name is somebody else's before anybody looked"),
    ),
    "before a node lets people in what it reads last holds": Mutant(
        Node,
        "begin_untold",
        nothing,
        others.test_before_anybody_is_let_in_what_is_read_last_holds,
    ),
    "of whom one node knew more late all name one second": Mutant(
        Roster,
        "go_back",
        nothing,
        run("who moved while nodes began is so since the same second for all"),
    ),
    "what was said by a clock that was not known is said anew": Mutant(
        PeerClock,
        "_check_dates",
        nothing,
        run("the seconds of a node that was read before its clock was known"),
    ),
    "what others say counts before a clock that is not known": Mutant(
        Others,
        "_known_seconds",
        lambda self, source, peer, said, *seconds: seconds,
        others.test_by_a_clock_that_is_not_known_yet_nothing_better_is_said_than_others_say,
    ),
    "what is written is by the clock of the database": Mutant(
        Stay,
        "by_clock",
        lambda self, ahead: self,
        run("whoever takes over has another clock than whoever died"),
    ),
    "of what was only read, who knows says since when it holds": Mutant(
        Choices,
        "date",
        lambda *_: False,
        choosing.test_what_says_no_second_holds_since_when_one_says_whose_clock_is_known,
    ),
    "ones own word is known where it comes back": Mutant(
        Room,
        "own_words",
        lambda self, user, status, *seconds: seconds,
        others.test_ones_own_word_comes_back_from_another_clock_as_it_was,
    ),
    "who comes back is told another second": Mutant(
        Past,
        "redated_since",
        lambda *_: set(),
        roster.test_who_was_let_go_late_leaves_others_the_second_that_their_nodes_say,
    ),
    "a choice of what is so already says since when it is so": Mutant(
        Choosing,
        "_since",
        lambda self, app, user, chosen, now: now.unix,
        choosing.test_who_is_as_they_choose_goes_on_being_so_since_then,
    ),
    "the visit of another account is another": Mutant(
        Visits,
        "see",
        lambda self, room, user, account, here, since: see(self, room, user, 1, here, since),
        run("a name is somebody else's before its end is known"),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_is_missed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, method, other, notices = MUTANTS[name]
    notices()
    monkeypatch.setattr(owner, method, other)
    with pytest.raises((AssertionError, RecursionError)):
        notices()
