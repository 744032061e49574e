"""What is printed of an app: for people, and as JSON."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from presence_server.apps.register import App, Secrets
from presence_server.apps.webhooks import State
from presence_server.commands.database import counted, minute, printable, second


def print_secrets(name: str, made: Secrets, *, as_json: bool) -> None:
    fields = {"name": name, **asdict(made)}
    if as_json:
        print(json.dumps(fields))
        return
    for field, value in fields.items():
        print(f"{field:14}  {value}")
    print("The secrets are shown only this once.", file=sys.stderr)


def public(app: App) -> dict[str, Any]:
    return {
        "name": app.name,
        "created_at": app.created_at,
        "origins": list(app.settings.origins),
        "webhook": app.settings.webhook,
        "grace": app.settings.grace,
        "visits": app.settings.visits,
        "keys": [key.id for key in app.keys],
    }


def print_app(app: App, told: State | None, *, as_json: bool) -> None:
    """`told`: what its backend has acknowledged, if it has one that is told."""
    fields = public(app)
    if as_json:
        print(json.dumps(fields if told is None else {**fields, "told": _told(told)}))
        return
    for field, value in fields.items():
        print(f"{field:10}  {_shown(value)}")
    for line in () if told is None else _told_in_words(told):
        print(f"{'told':10}  {line}")


def _told(state: State) -> dict[str, Any]:
    return {
        "off_since": state.off_at,
        "due": state.due,
        "due_since": state.due_since,
        "acknowledged_at": state.acknowledged_at,
        "answers": list(state.answers),
    }


def _told_in_words(told: State) -> Iterator[str]:
    if told.off_at is not None:
        yield f"switched off since {minute(told.off_at)}: it answered that it is gone (410)"
    if told.due:
        people = counted(told.due, "change")
        yield f"behind by {people} since {minute(told.due_since)}"
    else:
        yield "everything: up to date"
    yield f"last acknowledged: {minute(told.acknowledged_at)}"
    for answer in told.answers[:3]:
        taken = f"{answer['seconds']:.3f} s"
        yield f"answered {second(answer['at'])}: {printable(answer['answer'])} after {taken}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "none" if value is None else str(value)
