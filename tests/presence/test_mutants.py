"""Each mechanism taken out of the code in turn: a test must notice.

A mutant is the real code with one mechanism missing, and the test that holds with it and fails
without it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from presence_server.presence import roster as roster_module
from presence_server.presence.cluster import Cluster, _Peer
from presence_server.presence.connections import Connections
from presence_server.presence.letters import Batch, Beat, Letter, People
from presence_server.presence.moment import Moment
from presence_server.presence.node import Node
from presence_server.presence.roster import Person, Roster
from tests.presence import test_cluster as cluster
from tests.presence import test_node as node
from tests.presence import test_roster as roster


class Mutant(NamedTuple):
    mechanism: str
    owner: Any
    name: str
    make: Callable[[Any], Any]
    caught_by: Callable[[], None]


def nothing(*_: object, **__: object) -> None:
    """Take a method out."""


def without_grace(original: Any) -> Any:
    def rest(self: Connections, session: str, now: Moment) -> None:
        original(self, session, now)
        self._deadlines[session] = now.elapsed

    return rest


def leaves_name_users(original: Any) -> Any:
    def close(self: Connections, session: str, connection: int, now: Moment) -> None:
        for number in list(self._sessions[session].connections):
            original(self, session, number, now)

    return close


def versions_stand_still(original: Any) -> Any:
    def arrive(self: Roster, *args: Any) -> None:
        version = self.version
        original(self, *args)
        self.version = version

    return arrive


def versions_are_not_ordered(_: Any) -> Any:
    def arrive(self: Roster, username: str, status: Any, since: int) -> None:
        before = self._here.get(username) or self._gone.pop(username, None)
        self.version += 1
        since = since if before is None else max(since, before.since + 1)
        self._here[username] = Person(status, since, self.version, self.version)

    return arrive


def no_one_who_left_is_remembered(original: Any) -> Any:
    def leave(self: Roster, username: str, *args: Any) -> None:
        original(self, username, *args)
        self._gone.pop(username, None)

    return leave


def forgetting_is_forgotten(original: Any) -> Any:
    def leave(self: Roster, *args: Any) -> None:
        original(self, *args)
        self._forgotten = 0

    return leave


def deletions_are_forgotten(original: Any) -> Any:
    def delete(self: Roster, username: str, at: int) -> None:
        original(self, username, at)
        self._deleted.clear()

    return delete


def deletions_take_all_entries(original: Any) -> Any:
    def delete(self: Roster, username: str, at: int) -> None:
        self._entries.pop(username, None)
        original(self, username, at)

    return delete


def seconds_repeat(original: Any) -> Any:
    def later(since: int, before: Person | None) -> int:
        return since

    return later


def gaps_are_not_seen(original: Any) -> Any:
    def apply(self: Cluster, batch: Batch, peer: _Peer) -> People | None:
        complete = peer.complete
        people = original(self, batch, peer)
        peer.complete = complete
        return people  # type: ignore[no-any-return]

    return apply


def beats_say_nothing(original: Any) -> Any:
    def take_in(self: Cluster, letter: Letter, peer: _Peer, now: Moment) -> Any:
        complete = peer.complete
        people = original(self, letter, peer, now)
        peer.complete = complete if isinstance(letter, Beat) else peer.complete
        return people

    return take_in


def goodbyes_are_forgotten(original: Any) -> Any:
    def depart(self: Cluster, *args: Any) -> None:
        original(self, *args)
        self._departed.clear()

    return depart


def leases_never_end(original: Any) -> Any:
    def due(self: Cluster, peer: _Peer, elapsed: float) -> bool:
        return peer.leaving is not None and bool(original(self, peer, elapsed))

    return due


def the_clock_alone_judges(original: Any) -> Any:
    """Without waiting for an echo, though not while deaf."""

    def tick(self: Cluster, now: Moment) -> None:
        original(self, now)
        for name, peer in list(self._peers.items()) if not self._deaf else ():
            self._judge(name, peer, now.elapsed, now)

    return tick


def views_are_not_frozen(original: Any) -> Any:
    """The clock judges, deaf or not."""

    def tick(self: Cluster, now: Moment) -> None:
        original(self, now)
        for name, peer in list(self._peers.items()) if self._deaf else ():
            self._judge(name, peer, now.elapsed, now)

    return tick


def any_echo_will_do(original: Any) -> Any:
    def echo(self: Cluster, mark: float, now: Moment) -> None:
        original(self, now.elapsed, now)

    return echo


def nothing_is_held_back(original: Any) -> Any:
    def knows_all(self: Cluster, now: Moment) -> bool:
        return True

    return knows_all


def graces_end_on_time(original: Any) -> Any:
    def catching_up(self: Cluster, now: Moment) -> float:
        return 0.0

    return catching_up


def graces_are_longer_only_after_outages(original: Any) -> Any:
    def catching_up(self: Cluster, now: Moment) -> float:
        return 0.0 if self._deaf else float(original(self, now))

    return catching_up


def anybody_is_believed(original: Any) -> Any:
    def apply(self: Cluster, batch: Batch, peer: _Peer) -> People | None:
        peer.answered = True
        return original(self, batch, peer)  # type: ignore[no-any-return]

    return apply


def subscriptions_get_no_time(original: Any) -> Any:
    def subscribed(self: Cluster, now: Moment) -> None:
        resubscribed = self._resubscribed
        original(self, now)
        self._resubscribed = resubscribed

    return subscribed


def all_is_confirmed(original: Any) -> Any:
    def present(self: Cluster) -> list[str]:
        return []

    return present


def none_were_dropped(original: Any) -> Any:
    def take_dropped(self: Cluster) -> set[str]:
        return set()

    return take_dropped


def pauses_end_at_once(original: Any) -> Any:
    def notice(self: Node, now: Moment) -> None:
        original(self, now)
        self._late = False

    return notice


def closed_late_is_closed_now(original: Any) -> Any:
    def catch_up(self: Node, now: Moment) -> None:
        self._closed_late.clear()
        original(self, now)

    return catch_up


def choices_are_not_handed_on(original: Any) -> Any:
    def follow(self: Node, username: str, choice: Any) -> None:
        original(self, username, choice)
        self._voice._unsaid.pop(username, None)

    return follow


def choices_are_ignored(original: Any) -> Any:
    def choice_of(self: Roster, username: str) -> None:
        return None

    return choice_of


MUTANTS = [
    Mutant("grace", Connections, "_rest", without_grace, node.test_rule_3_back_within_the_grace),
    Mutant(
        "leaves of connections",
        Connections,
        "close",
        leaves_name_users,
        node.test_r2_the_old_sockets_leave_comes_after_the_new_ones_join,
    ),
    Mutant("versions", Roster, "_arrive", versions_stand_still, roster.test_each_change_is_told),
    Mutant(
        "order of changes",
        Roster,
        "_arrive",
        versions_are_not_ordered,
        roster.test_changes_since_finds_all_who_changed,
    ),
    Mutant(
        "memory of those who left",
        Roster,
        "_leave",
        no_one_who_left_is_remembered,
        roster.test_each_change_is_told,
    ),
    Mutant(
        "seconds that differ",
        roster_module,
        "_later",
        seconds_repeat,
        roster.test_rule_7_a_repeated_status_has_a_newer_since,
    ),
    Mutant(
        "cursors from before what is remembered",
        Roster,
        "_leave",
        forgetting_is_forgotten,
        roster.test_a_cursor_from_before_what_is_remembered_gets_no_changes,
    ),
    Mutant(
        "tombstones of accounts",
        Roster,
        "delete",
        deletions_are_forgotten,
        cluster.test_a_deletion_and_letters_that_do_not_know_of_it_yet,
    ),
    Mutant(
        "deletions of the past",
        Roster,
        "delete",
        deletions_take_all_entries,
        cluster.test_a_new_account_of_a_deleted_name_is_shown_where_the_deletion_is_read_late,
    ),
    Mutant(
        "tombstones of nodes",
        Cluster,
        "_depart",
        goodbyes_are_forgotten,
        cluster.test_r8_nothing_comes_after_a_goodbye,
    ),
    Mutant(
        "belief in those who answer",
        Cluster,
        "_apply",
        anybody_is_believed,
        cluster.test_r8_a_letter_that_is_older_than_its_senders_end_brings_nobody_back,
    ),
    Mutant(
        "gaps",
        Cluster,
        "_apply",
        gaps_are_not_seen,
        cluster.test_a_lost_letter_is_missed_when_the_next_comes,
    ),
    Mutant(
        "sequence in the beat",
        Cluster,
        "_take_in",
        beats_say_nothing,
        cluster.test_r11_the_last_letter_is_lost_and_nothing_follows,
    ),
    Mutant(
        "lease",
        Cluster,
        "_due",
        leases_never_end,
        cluster.test_f11_the_people_of_a_killed_node_go_after_lease_and_grace_and_not_before,
    ),
    Mutant(
        "freeze while deaf",
        Cluster,
        "tick",
        views_are_not_frozen,
        cluster.test_f1_an_outage_of_redis_shows_nobody_offline,
    ),
    Mutant(
        "echo barrier",
        Cluster,
        "tick",
        the_clock_alone_judges,
        cluster.test_r16_a_pause_of_ones_own_takes_nobody_away,
    ),
    Mutant(
        "marks of echoes",
        Cluster,
        "echo",
        any_echo_will_do,
        cluster.test_an_old_echo_is_no_proof_of_being_in_touch,
    ),
    Mutant(
        "deafness", Cluster, "lost", nothing, cluster.test_r12_a_node_that_hears_nothing_says_so
    ),
    Mutant(
        "new subscription of the deaf",
        Cluster,
        "_resubscribe",
        nothing,
        cluster.test_r12_a_node_whose_subscription_died_listens_anew,
    ),
    Mutant(
        "time for a subscription",
        Cluster,
        "subscribed",
        subscriptions_get_no_time,
        cluster.test_a_new_subscription_gets_its_time_before_another_is_made,
    ),
    Mutant(
        "fresh lease after an outage",
        Cluster,
        "_renew",
        nothing,
        cluster.test_a_node_out_of_reach_when_redis_returns_gets_a_whole_lease,
    ),
    Mutant(
        "unconfirmed nodes",
        Cluster,
        "_present",
        all_is_confirmed,
        cluster.test_a_node_out_of_reach_when_redis_returns_gets_a_whole_lease,
    ),
    Mutant(
        "goodbye",
        Cluster,
        "_depart",
        nothing,
        cluster.test_f13_a_goodbye_puts_people_into_their_grace,
    ),
    Mutant(
        "holding back who left",
        Cluster,
        "knows_all",
        nothing_is_held_back,
        cluster.test_those_who_moved_during_an_outage_are_not_missed_after_it,
    ),
    Mutant(
        "longer graces after an outage",
        Cluster,
        "catching_up",
        graces_end_on_time,
        cluster.test_a_grace_that_ends_just_after_an_outage_waits_for_the_others,
    ),
    Mutant(
        "longer graces in an outage",
        Cluster,
        "catching_up",
        graces_are_longer_only_after_outages,
        cluster.test_a_grace_that_ends_in_an_outage_waits_for_what_others_write_down,
    ),
    Mutant(
        "notes in the database",
        Node,
        "heed",
        nothing,
        cluster.test_those_who_moved_during_an_outage_are_found_in_the_database,
    ),
    Mutant(
        "forgetting the notes of dropped nodes",
        Cluster,
        "take_dropped",
        none_were_dropped,
        cluster.test_rule_9_a_node_that_starts_brings_nobody_back_whom_others_let_go,
    ),
    Mutant(
        "forgiveness of pauses",
        Cluster,
        "stalled",
        nothing,
        cluster.test_after_a_pause_a_node_is_not_degraded,
    ),
    Mutant(
        "noticing pauses",
        Node,
        "_notice_pause",
        nothing,
        node.test_a_pause_takes_nobodys_grace_away,
    ),
    Mutant(
        "silence after pauses",
        Node,
        "_notice_pause",
        pauses_end_at_once,
        cluster.test_r17_what_was_unsaid_before_the_pause_is_not_said_after_it,
    ),
    Mutant(
        "what was closed during a pause",
        Node,
        "_catch_up",
        closed_late_is_closed_now,
        cluster.test_r17_a_node_goes_on_after_others_gave_it_up,
    ),
    Mutant(
        "choices",
        Roster,
        "choice_of",
        choices_are_ignored,
        cluster.test_a_choice_is_known_on_all_nodes_and_holds_for_a_new_device,
    ),
    Mutant(
        "choices are handed on",
        Node,
        "_follow",
        choices_are_not_handed_on,
        cluster.test_a_choice_is_known_on_all_nodes_and_holds_for_a_new_device,
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.mechanism)
def test_a_mutant_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant.caught_by()
    original = getattr(mutant.owner, mutant.name)
    replacement = nothing if mutant.make is nothing else mutant.make(original)
    monkeypatch.setattr(mutant.owner, mutant.name, replacement)
    with pytest.raises(AssertionError):
        mutant.caught_by()
