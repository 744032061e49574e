"""What the `daphne` command does, and the line that says where it listens."""

import argparse
import importlib
import os

from daphne.server import Server


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--layer", default="core", choices=["core", "pubsub"])
    options = parser.parse_args()
    os.environ["DATABASE"] = options.database
    os.environ["REDIS_URL"] = options.redis_url
    os.environ["LAYER"] = options.layer

    def ready() -> None:
        host, port = server.listening_addresses[0]
        print(f"Listening on http://{host}:{port}", flush=True)

    server = Server(
        importlib.import_module("asgi").application,
        endpoints=[f"tcp:port={options.port}:interface=127.0.0.1:backlog=4096"],
        ready_callable=ready,
        # The default of 5 s would turn away those who come in a crowd.
        websocket_handshake_timeout=60,
    )
    server.run()


main()
