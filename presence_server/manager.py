"""What systemd waits for before it goes on, for units of Type=notify."""

import logging
import os
import socket

log = logging.getLogger(__name__)


def tell_manager(state: str) -> None:
    """Such as READY=1, to whoever manages this process, if anybody does."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect("\0" + address[1:] if address.startswith("@") else address)
            manager.sendall(state.encode())
    except OSError as error:
        log.warning("NOTIFY_SOCKET cannot be told %s: %s", state, error)
