"""Modules of our own pages that need no page, in Node."""

import json
from base64 import b64encode

from presence_server.resources import ROOT
from presence_server.web import sockets
from testing.install_node_packages import run_in_node


def module(name: str) -> str:
    """The address of one that imports no other: by its file Node might not take it for a module."""
    source = (ROOT / "static" / "users" / name).read_bytes()
    return f"data:text/javascript;base64,{b64encode(source).decode()}"


def test_who_scrolls_on_and_on_may_still_say_something_else(node: str) -> None:
    script = """
        const [address, seconds] = process.argv.slice(-2);
        const { Watching } = await import(address);
        let [now, lists, waiting] = [0, 0, []];
        globalThis.setTimeout = (call, after) => waiting.push({ call, at: now + after });
        const room = { watch: () => (lists += 1) };
        const roster = { isPartial: true };
        const watching = new Watching(room, roster, { always: () => [], bound: 0 });
        for (; now <= seconds * 1000; now += 10) {
            const due = waiting.filter(({ at }) => at <= now);
            waiting = waiting.filter(({ at }) => at > now);
            for (const { call } of due) call();
            watching.near([`user${now}`]);
        }
        console.log(lists);
    """
    lists = json.loads(run_in_node(script, module("watching.js"), str(sockets._PER_SECONDS)))
    assert 10 < lists <= sockets._MOST_MESSAGES * 3 / 4


def test_nobody_who_is_never_away_is_asked_whether_input_may_be_noticed(node: str) -> None:
    script = """
        const { Idle } = await import(process.argv.at(-1));
        globalThis.IdleDetector = class {};
        const permissions = { query: async () => ({ state: "prompt" }) };
        Object.defineProperty(globalThis, "navigator", { value: { permissions } });
        const offers = [0, 60_000].map((limit) => new Idle(limit, () => {}).canAsk());
        console.log(JSON.stringify(await Promise.all(offers)));
    """
    assert json.loads(run_in_node(script, module("idle.js"))) == [False, True]
