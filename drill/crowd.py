"""`python -m drill.crowd HOST PORT`: a crowd that comes all at once.

Standard input has its number and then the cookies, one a line. When everybody has been answered it
prints one line of JSON, and it stays until its input ends.
"""

import json
import os
import resource
import sys
import time
from collections import Counter

from testing.swarm import Client, Swarm

# Handshakes under way at one time.
_AT_ONCE = 500
_LONGEST = 60.0


def main(host: str, port: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = int(sys.stdin.readline())
    cookies = [sys.stdin.readline().strip() for _ in range(count)]
    failures: Counter[str] = Counter()

    def lost(client: Client, reason: str) -> None:
        failures[reason] += 1

    swarm = Swarm((host, int(port)), "presence.v1", lambda number, payload, now: None)
    swarm.on_close = lost
    begun = time.monotonic()
    waiting = list(enumerate(cookies))
    while (waiting or swarm.opening) and time.monotonic() - begun < _LONGEST:
        while waiting and swarm.opening < _AT_ONCE:
            swarm.connect(*waiting.pop())
        swarm.turn(0.05)
    seconds = time.monotonic() - begun
    is_open = sum(client.open for client in swarm.clients.values())
    print(json.dumps({"open": is_open, "seconds": seconds, "failures": failures}), flush=True)
    swarm.listen_to(sys.stdin.fileno())
    while not (swarm.turn(1) and not os.read(sys.stdin.fileno(), 1)):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
