"""Runs of the cluster model in which something once did not hold, made short."""

from typing import Any

from tests.presence.cluster_model import Run, Step


def _run(
    *steps: tuple[str, dict[str, Any]], clocks: tuple[float, ...] = (), locks: bool = False
) -> Run:
    return Run(clocks, [Step(act, values) for act, values in steps], locks)


def _connect(slot: int, user: str, status: str, *, phone: bool = False) -> tuple[str, Any]:
    return "connect", {"slot": slot, "user": user, "status": status, "phone": phone}


def _move(slot: int, seconds: float) -> tuple[str, Any]:
    return "move", {"pick": 0, "slot": slot, "seconds": seconds}


def _cut(slot: int, *, out: bool = True, back: bool = True, keeps: bool = False) -> tuple[str, Any]:
    return "cut", {"slot": slot, "out": out, "back": back, "keeps": keeps}


def _enter(slot: int, user: str, room: str, seconds: float) -> tuple[str, Any]:
    values = {"slot": slot, "user": user, "room": room, "status": "online", "seconds": seconds}
    return "enter", values


def _put(slot: int, user: str, room: str, status: str, seconds: float) -> tuple[str, Any]:
    values = {"slot": slot, "user": user, "room": room, "status": status, "seconds": seconds}
    return "put", values


def _choose(status: str, text: str = "") -> tuple[str, Any]:
    return "choose", {"pick": 0, "status": status, "text": text, "lasts": 0}


def _wait(seconds: float) -> tuple[str, Any]:
    return "wait", {"seconds": seconds}


def _travel(slot: int, to: int, seconds: float) -> tuple[str, Any]:
    return "travel", {"slot": slot, "to": to, "seconds": seconds}


_DROP: tuple[str, Any] = ("drop", {"pick": 0})
_HOLD: tuple[str, Any] = ("hold_database", {"works": False})
_FREEZE: tuple[str, Any] = ("take_redis_down", {"frozen": True})


def _at(act: str, slot: int, **values: Any) -> tuple[str, Any]:
    return act, {"slot": slot, **values}


FOUND = {
    "who moved is known by notes alone": _run(
        _cut(1, keeps=True), _connect(2, "bob", "away", phone=True), _move(1, 1.0), _wait(12)
    ),
    "a killed node had written once more": _run(
        _connect(2, "bob", "away"), _wait(0.5), _HOLD, _at("kill", 2), _wait(5), _wait(12)
    ),
    "a node that nobody heard had somebody who left": _run(
        _connect(1, "bob", "online"),
        _move(0, 2.5),
        _at("kill", 0),
        _cut(1),
        _HOLD,
        _wait(10),
        _wait(12),
    ),
    "the database answers before Redis": _run(
        _HOLD,
        _cut(2, out=False),
        _connect(2, "bob", "online"),
        _DROP,
        _connect(0, "bob", "away", phone=True),
        _wait(12),
        _DROP,
    ),
    "logged out and in while Redis freezes": _run(
        _connect(2, "bob", "away"),
        _wait(0.1),
        _at("log_out", 0, user="bob"),
        _FREEZE,
        _connect(0, "bob", "online"),
        _wait(2),
    ),
    "left in a pause that others outwaited": _run(
        _connect(0, "bob", "away"), _at("pause", 0), _DROP, _wait(5), _wait(12)
    ),
    "came and went while a node stood still": _run(
        _at("pause", 1), _connect(2, "bob", "away"), _DROP, _wait(2), _wait(5), _wait(10)
    ),
    "a choice is heard after what was said later": _run(
        _connect(1, "carol", "away"),
        _connect(0, "dave", "away"),
        ("drop", {"pick": 33}),
        ("move", {"pick": 47, "slot": 2, "seconds": 1.0}),
        ("choose", {"pick": 19, "status": "online"}),
        _at("pause", 2),
        _wait(1.5),
        ("move", {"pick": 53, "slot": 0, "seconds": 0.5}),
        ("say", {"pick": 22, "status": "away"}),
    ),
    "an answer was on its way for long": _run(
        _at("pause", 1),
        _wait(0.5),
        _at("open_page", 0, user="bob"),
        _at("resume", 1, timers_first=True, late=1.0),
        _cut(0, back=False),
        _cut(2, back=False, keeps=True),
        _wait(12),
        _wait(12),
    ),
    "a deletion is read long after the name was taken anew": _run(
        _at("delete", 1, user="alice"),
        _connect(1, "alice", "away"),
        _HOLD,
        ("choose", {"pick": 0, "status": "busy"}),
        _wait(12),
        _connect(0, "alice", "online"),
        ("bounce_redis", {"seconds": 9}),
        _wait(7),
    ),
    "a node stops as Redis freezes": _run(
        _connect(2, "bob", "online"), _move(0, 1.0), _wait(0.5), _at("stop", 0), _FREEZE, _wait(12)
    ),
    "a dead node's people are not known to the next": _run(
        _connect(0, "bob", "online"),
        ("bounce_redis", {"seconds": 4}),
        _at("crash_loop", 1, times=4, seconds=0.4),
        _travel(1, 0, 0.1),
    ),
    "a cursor from a node that cannot speak": _run(
        _wait(8),
        _connect(0, "alice", "away"),
        _connect(1, "bob", "online"),
        _cut(1, back=False, keeps=True),
        _travel(1, 2, 0.5),
    ),
    "a cursor with somebody of whom no letter came": _run(
        _wait(8),
        _connect(0, "alice", "away"),
        ("bounce_redis", {"seconds": 0.3}),
        _travel(0, 1, 0.1),
    ),
    "a cursor with what was taken back in a second": _run(
        _connect(0, "bob", "away"),
        _connect(1, "bob", "online"),
        ("bounce_redis", {"seconds": 4}),
        _wait(10),
        ("move", {"pick": 1, "slot": 1, "seconds": 0.1}),
        _travel(2, 1, 1.5),
    ),
    "rooms come again whose lobby had gone": _run(
        _connect(0, "dave", "away"), _DROP, _wait(12), _connect(0, "dave", "away"), _wait(1)
    ),
    "a node that cannot be heard stops just after somebody left": _run(
        _connect(1, "alice", "away"),
        _cut(1, back=False),
        _wait(12),
        _DROP,
        _wait(0.4),
        _at("stop", 1),
    ),
    "a node that stops has somebody of whom one that hears nothing has not read": _run(
        _connect(1, "carol", "online"),
        _cut(0, keeps=True),
        _wait(0.5),
        _move(2, 0.0),
        _wait(0.1),
        _at("stop", 2),
        _wait(12),
    ),
    "a node stops that was opened in the grace of a claim elsewhere": _run(
        _cut(0),
        _wait(2),
        _at("open_page", 2, user="alice"),
        _wait(0.5),
        _at("open_page", 1, user="alice"),
        _at("stop", 1),
    ),
    "a cursor with what never was so at the other node": _run(
        _connect(1, "bob", "online"),
        _connect(2, "bob", "online"),
        _wait(10),
        _connect(1, "carol", "away"),
        ("say", {"pick": 17, "status": "away"}),
        _at("open_page", 1, user="alice"),
        _travel(2, 0, 0.1),
        ("move", {"pick": 45, "slot": 2, "seconds": 0.0}),
        _travel(1, 2, 0.5),
    ),
    "a cursor with somebody who had ended at the other node": _run(
        _wait(10), _connect(1, "bob", "away"), _at("log_out", 2, user="bob"), _travel(1, 2, 4.0)
    ),
    "an account is deleted where one node cannot read it": _run(
        _at("cut_database", 2, works=False),
        _connect(2, "alice", "online"),
        _at("delete", 1, user="alice"),
        _wait(3),
        _wait(12),
    ),
    "a line is opened as another of its user is narrowed": _run(
        _connect(0, "carol", "away"),
        ("narrow", {"pick": 0}),
        _connect(0, "carol", "online"),
        _wait(3),
    ),
    "a claim is over soon after the line beside it was narrowed": _run(
        _wait(5),
        _enter(0, "dave", "7/b", 20),
        _wait(0.5),
        _put(2, "dave", "7/b", "away", 1),
        ("narrow", {"pick": 0}),
        _wait(3),
    ),
    "a claim is heard of late, in whole seconds, and its node stops": _run(
        _wait(0.5),
        _at("pause", 1),
        _put(2, "carol", "7/b", "away", 5),
        _wait(2.5),
        _at("stop", 2),
    ),
    "somebody chooses to be as they are where that is not known yet": _run(
        _enter(1, "carol", "7/b", 20),
        _cut(0, keeps=True),
        _at("end_subscription", 2),
        _put(0, "carol", "7/a", "away", 60),
        _move(2, 1.0),
        ("choose", {"pick": 0, "status": "away", "text": "lunch", "lasts": 40}),
    ),
    "the node that lets somebody go last knows least of when they left": _run(
        _connect(2, "bob", "away"),
        _move(1, 1.0),
        _move(2, 0.5),
        _at("cut_database", 1, works=False),
        _cut(2),
        _wait(3),
        _at("kill", 1),
        _move(0, 0.1),
        _at("stop", 0),
    ),
    "a node dies with a claim of which one other could not hear or read": _run(
        _put(0, "dave", "7/b", "online", 20),
        _FREEZE,
        _at("cut_database", 1, works=False),
        _at("crash_loop", 2, times=1, seconds=2.0),
        _connect(0, "dave", "online"),
        _move(1, 0.5),
        _at("crash_loop", 0, times=2, seconds=2.0),
        _DROP,
        _at("pause", 1),
        _wait(2),
    ),
    "of two choices at once only the ends differ": _run(
        _enter(1, "dave", "7/b", 20),
        ("enter", {"slot": 1, "user": "dave", "room": "7/a", "status": "away", "seconds": 900}),
        ("move", {"pick": 39, "slot": 2, "seconds": 0.1}),
        ("drop", {"pick": 34}),
        _connect(2, "carol", "online", phone=True),
        _connect(1, "dave", "away", phone=True),
        ("choose", {"pick": 25, "status": "invisible", "text": "", "lasts": 5}),
        ("choose", {"pick": 48, "status": "invisible", "text": "", "lasts": 40}),
        ("drop", {"pick": 12}),
    ),
    "somebody is back before their node reads that they were sent away": _run(
        _enter(1, "carol", "7/b", 20),
        _at("revoke", 2, user="carol"),
        _enter(1, "carol", "7/a", 20),
        _wait(5),
    ),
    "back at a node that cannot be heard before others read the end": _run(
        ("slow_redis", {"delay": 0.3}),
        _at("kill", 2),
        _at("start", 2),
        _wait(0.1),
        _at("revoke", 0, user="dave"),
        _enter(0, "dave", "7/b", 20),
        ("bounce_redis", {"seconds": 1}),
    ),
    "somebody is placed, and comes to another room as they are sent away": _run(
        _put(1, "carol", "7/b", "online", 20),
        _at("revoke", 2, user="carol"),
        _enter(1, "carol", "7/a", 20),
        _wait(12),
    ),
    "a node dies before it reads that a claim has ended": _run(
        _put(2, "carol", "7/b", "away", 60),
        _wait(5),
        _at("revoke", 1, user="carol"),
        _at("kill", 2),
        _wait(12),
    ),
    "a shorter claim takes the place of a longer one": _run(
        _put(1, "dave", "7/b", "away", 60), _wait(12), _put(0, "dave", "7/b", "online", 1), _wait(3)
    ),
    "the lines of one session end at two nodes before these hear of them": _run(
        _wait(3),
        _enter(1, "dave", "7/a", 0.5),
        _FREEZE,
        _enter(2, "dave", "7/a", 0.5),
        _wait(0.5),
        ("mend_all", {}),
        _wait(2),
    ),
    "a node dies in an outage with the line that counts": _run(
        _connect(1, "dave", "online"),
        _connect(2, "dave", "away"),
        _wait(0.5),
        _at("kill", 1),
        ("take_redis_down", {"frozen": False}),
        _wait(12),
    ),
    "a node stands still that never had a line, as somebody opens a page there": _run(
        _wait(5),
        _at("open_page", 2, user="bob"),
        ("take_redis_down", {"frozen": False}),
        _wait(2),
        _at("open_page", 1, user="bob"),
        _at("pause", 1),
        ("mend_all_but_pauses", {}),
        _wait(2),
        _wait(5),
    ),
    "clocks are apart when a node starts": _run(
        _wait(0.2),
        _at("stop", 0),
        _connect(1, "alice", "online"),
        _at("crash_loop", 2, times=2, seconds=1.0),
        clocks=(0.0, -600.0, 600.0),
    ),
    "a visit was written by a clock that is ahead": _run(
        _put(1, "carol", "7/b", "away", 60),
        _at("open_page", 0, user="alice"),
        _wait(5),
        _at("revoke", 2, user="carol"),
        _connect(1, "alice", "online"),
        ("bounce_redis", {"seconds": 1}),
        _DROP,
        clocks=(600.0, 0.0, 0.3),
    ),
    "a name is somebody else's before its end is known": _run(
        _connect(0, "alice", "online"),
        _wait(12),
        _at("delete", 1, user="alice"),
        _connect(0, "alice", "online", phone=True),
    ),
    "a name is somebody else's before anybody looked": _run(
        _enter(0, "dave", "7/b", 900),
        _move(2, 0.5),
        _connect(0, "alice", "online"),
        ("move", {"pick": 18, "slot": 1, "seconds": 0.5}),
        _at("delete", 2, user="alice"),
        _connect(0, "alice", "online", phone=True),
        clocks=(600.0, 0.0, 0.3),
    ),
    "a claim was revoked while its node could not read that": _run(
        _put(2, "dave", "7/a", "online", 60),
        _at("kick", 0, user="dave", room="7/a"),
        _HOLD,
        _wait(15),
    ),
    "an answer that was cut off is older than what was read": _run(
        _at("kill", 1),
        _wait(0.2),
        _at("end_subscription", 0),
        _cut(2, back=False, keeps=True),
        _wait(4),
        _connect(2, "alice", "online"),
        _wait(1),
        _DROP,
    ),
    "what a line kept is older than what was read": _run(
        _cut(1, keeps=True),
        _at("enter", 2, user="carol", room="7/a", status="away", seconds=3),
        _at("enter", 1, user="carol", room="7/a", status="away", seconds=0.5),
        _wait(2),
        _travel(2, 0, 1.5),
    ),
    "a visit goes on after the node died that wrote it": _run(
        _connect(2, "alice", "online", phone=True),
        _at("kill", 0),
        _wait(4),
        _at("stop", 1),
        _at("crash_loop", 2, times=1, seconds=2.0),
        locks=True,
    ),
    "a visit went on where nobody could write": _run(
        _connect(0, "dave", "away"),
        _at("kill", 2),
        _wait(2),
        _HOLD,
        _wait(5),
        ("mend_all", {}),
        _at("kill", 0),
        _at("crash_loop", 1, times=1, seconds=0.4),
        locks=True,
    ),
    "a visit goes on at a node that fell silent as it began": _run(
        _connect(1, "carol", "online", phone=True),
        _at("crash_loop", 2, times=2, seconds=1.0),
        _at("pause", 2),
        _move(2, 1.0),
        _wait(3),
        _connect(0, "carol", "online"),
        locks=True,
    ),
    "a line ends after a claim, in a visit by a clock that is ahead": _run(
        _put(1, "carol", "7/b", "online", 20),
        _enter(0, "carol", "7/b", 20),
        ("settle", {}),
        _at("stop", 0),
        _connect(1, "alice", "away"),
        clocks=(600.0, 0.0, 0.3),
        locks=True,
    ),
    "a node that starts heard one that died before it answered": _run(
        ("slow_redis", {"delay": 0.3}),
        _put(1, "dave", "7/a", "away", 60),
        _at("crash_loop", 2, times=2, seconds=0.4),
        _at("kill", 1),
    ),
    "an account was deleted a moment ago, and Redis is away": _run(
        ("bounce_redis", {"seconds": 1}),
        _travel(2, 2, 1.5),
        _connect(1, "bob", "away"),
        _wait(10),
        _FREEZE,
        _at("delete", 0, user="bob"),
        _travel(0, 2, 0.5),
    ),
    "somebody is away whose page, known to some, was opened before": _run(
        _at("open_page", 2, user="bob"),
        _wait(2.5),
        _at("crash_loop", 2, times=3, seconds=1.0),
        _connect(1, "bob", "away", phone=True),
    ),
    "a claim was made and its node died while one could neither hear nor read": _run(
        _at("cut_database", 0, works=False),
        _wait(1),
        _put(1, "carol", "7/a", "online", 60),
        ("bounce_redis", {"seconds": 9}),
        _at("kill", 1),
    ),
    "a letter that was late is no clock that is behind": _run(
        _wait(0.5),
        _cut(2, keeps=True),
        _wait(3),
        _connect(2, "alice", "away"),
        ("crash_loop", {"slot": 0, "times": 3, "seconds": 0.4}),
    ),
    "a node that lets nobody in yet reads first what is newer": _run(
        _connect(2, "bob", "online"),
        _at("stop", 0),
        _wait(5),
        _connect(1, "bob", "away"),
        _at("start", 0),
        ("bounce_redis", {"seconds": 9}),
    ),
    "others never knew of a line beside a claim": _run(
        _connect(1, "dave", "online"),
        _at("put", 0, user="dave", room="7/b", status="away", seconds=60),
        _at("cut_database", 1, works=False),
        _cut(1, back=False),
        _wait(2),
        _DROP,
        _wait(12),
    ),
    "who goes on being busy with other words is so since the first": _run(
        _connect(2, "bob", "online"),
        _wait(3),
        _choose("busy"),
        _wait(5),
        _choose("busy", "lunch"),
        _wait(5),
        _at("stop", 0),
        _wait(5),
        _at("start", 0),
    ),
    "what lines say under a choice is not since when it holds": _run(
        _connect(2, "bob", "online"),
        _wait(3),
        _choose("busy"),
        _wait(5),
        ("say", {"pick": 0, "status": "away"}),
        _wait(5),
        _at("stop", 0),
        _wait(5),
        _at("start", 0),
    ),
    "who stays says since when the user is so whose other session went": _run(
        _connect(2, "bob", "away"),
        _wait(3),
        _connect(2, "bob", "online", phone=True),
        _wait(4),
        ("drop", {"pick": 1}),
        _wait(5),
        _at("stop", 0),
        _wait(5),
        _at("start", 0),
    ),
    "who moved while nodes began is so since the same second for all": _run(
        _at("pause", 1),
        ("crash_loop", {"slot": 0, "times": 4, "seconds": 0.4}),
        _connect(2, "dave", "away", phone=True),
        _wait(0.2),
        ("take_redis_down", {"frozen": False}),
        _at("stop", 0),
        _move(1, 0.0),
        _connect(2, "dave", "online", phone=True),
        ("take_redis_down", {"frozen": False}),
        ("bounce_redis", {"seconds": 0.3}),
        locks=True,
    ),
    "who lives says since when, beside what others have left of a claim": _run(
        _put(0, "dave", "7/b", "away", 60),
        _connect(0, "dave", "online"),
        _move(2, 1.0),
        ("crash_loop", {"slot": 0, "times": 2, "seconds": 1.0}),
        _DROP,
        locks=True,
    ),
    "the seconds of a node that was read before its clock was known": _run(
        _at("kill", 1),
        ("take_redis_down", {"frozen": False}),
        _at("start", 1),
        _wait(8),
        _connect(1, "bob", "away"),
        clocks=(0.0, -600.0, 600.0),
    ),
    "the seconds of a node that was heard before its clock was known": _run(
        _put(0, "carol", "7/a", "online", 60),
        _wait(10),
        ("take_redis_down", {"frozen": False}),
        ("crash_loop", {"slot": 0, "times": 3, "seconds": 2.0}),
        clocks=(600.0, 0.0, 0.3),
        locks=True,
    ),
    "the seconds of somebody who comes to a node that has read of them in an outage": _run(
        _connect(0, "bob", "away", phone=True),
        _at("stop", 2),
        _FREEZE,
        _choose("online"),
        _at("start", 2),
        _choose("busy"),
        _wait(10),
        _connect(2, "bob", "away"),
        clocks=(600.0, 0.0, 0.3),
    ),
    "whoever takes over has another clock than whoever died": _run(
        _put(0, "carol", "7/a", "online", 60),
        _at("stop", 1),
        _wait(3),
        _at("kill", 0),
        _at("start", 1),
        clocks=(0.0, 4.0, -60.0),
        locks=True,
    ),
    "all who let somebody of a dead node go name one second": _run(
        _connect(1, "bob", "away", phone=True),
        _wait(2),
        _connect(0, "bob", "online"),
        _wait(3),
        ("crash_loop", {"slot": 0, "times": 1, "seconds": 1.0}),
    ),
    "who chooses to be online is away where a backend said so": _run(
        _enter(0, "carol", "7/b", 900),
        _put(1, "carol", "7/a", "away", 5),
        _wait(3),
        _put(1, "carol", "7/a", "away", 60),
        _wait(3),
        _choose("online"),
    ),
    "who comes as of then from a node that goes on showing whom one never knew": _run(
        _connect(2, "bob", "away", phone=True),
        _move(1, 2.5),
        _at("open_page", 2, user="alice"),
        _travel(0, 0, 0.5),
        _move(1, 0.5),
        ("crash_loop", {"slot": 1, "times": 2, "seconds": 2.0}),
        _travel(1, 2, 0.1),
        _wait(12),
        _travel(1, 1, 0.1),
    ),
    "who writes visits began after somebody had come, and changed since": _run(
        _connect(1, "carol", "away"),
        _at("enter", 1, user="carol", room="7/a", status="online", seconds=3),
        ("crash_loop", {"slot": 2, "times": 4, "seconds": 1.0}),
        locks=True,
    ),
    "a node begins while another stands still for more than a lease": _run(
        _connect(2, "carol", "away", phone=True),
        _at("pause", 0),
        _wait(5),
        _at("pause", 2),
        ("crash_loop", {"slot": 1, "times": 4, "seconds": 2.0}),
        locks=True,
    ),
    "who was revoked is back, and leaves before her node reads of it": _run(
        _at("revoke", 2, user="carol"),
        _at("cut_database", 0, works=False),
        _wait(10),
        _connect(0, "carol", "away"),
        _wait(1.5),
        _DROP,
    ),
    "it is judged just when one of two tokens of a user ends": _run(
        _enter(0, "carol", "7/a", 20), _wait(1), _connect(2, "carol", "away")
    ),
    "a node begins while two others live that cannot write": _run(
        _connect(2, "alice", "away"),
        _at("cut_database", 2, works=False),
        _move(1, 0.5),
        _at("stop", 1),
        _connect(0, "bob", "away", phone=True),
        _at("pause", 0),
        ("move", {"pick": 29, "slot": 0, "seconds": 2.5}),
        _wait(10),
        _at("start", 1),
    ),
    "a node begins anew before others write to a database that was held": _run(
        _connect(2, "bob", "online"),
        _travel(0, 2, 4.0),
        _at("kill", 2),
        _connect(0, "dave", "away"),
        _HOLD,
        _wait(12),
        _move(2, 2.5),
        ("mend_all", {}),
        ("crash_loop", {"slot": 2, "times": 1, "seconds": 0.4}),
        locks=True,
    ),
    "somebody comes to a node that none has reached for a lease, and another begins": _run(
        _at("cut_database", 2, works=False),
        _FREEZE,
        _connect(1, "bob", "online"),
        ("move", {"pick": 10, "slot": 0, "seconds": 2.5}),
        _wait(10),
        ("move", {"pick": 48, "slot": 2, "seconds": 0.5}),
        ("crash_loop", {"slot": 0, "times": 1, "seconds": 0.4}),
        _wait(5),
        locks=True,
    ),
    "what Redis had answered comes when it answers no more": _run(
        _at("pause", 2),
        _at("resume", 2, timers_first=True, late=1.0),
        _FREEZE,
        ("crash_loop", {"slot": 1, "times": 2, "seconds": 1.0}),
    ),
    "a node out of all reach stops that has told its choices to one other node alone": _run(
        _connect(0, "alice", "away", phone=True),
        _cut(1, keeps=True),
        ("move", {"pick": 22, "slot": 1, "seconds": 1.0}),
        _at("cut_database", 1, works=False),
        _travel(2, 1, 0.5),
        ("choose", {"pick": 14, "status": "invisible", "text": "lunch", "lasts": 2}),
        _cut(1, out=False, back=False),
        _at("pause", 0),
        _wait(1),
        ("move", {"pick": 13, "slot": 1, "seconds": 0.5}),
        _at("stop", 1),
        _connect(0, "bob", "online", phone=True),
        _connect(2, "alice", "online"),
        clocks=(0.0, -600.0, 600.0),
    ),
    "somebody changes in the turn in which they go back to another second": _run(
        _connect(2, "carol", "away"),
        ("bounce_redis", {"seconds": 0.1}),
        _wait(5),
        ("move", {"pick": 45, "slot": 0, "seconds": 1.0}),
        _at("pause", 2),
        _put(1, "carol", "7/a", "online", 1),
        _at("end_subscription", 1),
        _wait(3),
        clocks=(0.0, 4.0, -60.0),
        locks=True,
    ),
    "somebody comes and hides, and the second is read before the first is heard": _run(
        ("slow_redis", {"delay": 0.3}),
        _wait(3.2),
        _connect(0, "bob", "online"),
        _travel(1, 0, 0.1),
        _choose("invisible"),
        _wait(3),
        _travel(2, 1, 0.1),
    ),
    "a line goes while another one of its user waits at a node that stands still": _run(
        _enter(1, "dave", "7/a", 900),
        _wait(10),
        _at("pause", 2),
        _enter(2, "dave", "7/a", 3),
        ("narrow", {"pick": 0}),
        _wait(5),
    ),
    "a node begins, again and again, that cannot know who came to one that stands still": _run(
        _connect(1, "alice", "away", phone=True),
        _wait(3),
        _connect(0, "alice", "online"),
        _at("pause", 0),
        _at("crash_loop", 1, times=2, seconds=2.0),
        locks=True,
    ),
    "who was placed is narrowed at a node that cannot hear of that": _run(
        _wait(12),
        _put(2, "dave", "7/b", "online", 60),
        _cut(1, keeps=True),
        _connect(1, "dave", "away", phone=True),
        _wait(0.2),
        ("narrow", {"pick": 0}),
        _connect(1, "carol", "online", phone=True),
        ("move", {"pick": 56, "slot": 1, "seconds": 1.0}),
    ),
    "the last words of a node are read when all have long let its people go": _run(
        _connect(1, "alice", "online"),
        _at("kill", 0),
        _travel(1, 0, 0.5),
        _at("stop", 1),
        _HOLD,
        _at("end_subscription", 2),
        _travel(0, 1, 4.0),
        _wait(12),
        _FREEZE,
        _wait(10),
    ),
    "who left is known by one that starts and is deaf when their grace is over": _run(
        _connect(2, "bob", "online", phone=True),
        _travel(2, to=0, seconds=4.0),
        _at("crash_loop", 2, times=4, seconds=1.0),
        _at("crash_loop", 1, times=1, seconds=2.0),
        _at("crash_loop", 1, times=3, seconds=1.0),
        _at("end_subscription", 2),
    ),
}
