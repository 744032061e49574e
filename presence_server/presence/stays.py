"""What follows from a stay that was written down."""

from presence_server.presence.moment import Moment
from presence_server.presence.names import is_claim, tag_of
from presence_server.presence.records import Stay


def left_second(stay: Stay, grace: float, now: Moment) -> int:
    """The Unix second in which its last line closed, or in which it ends if it is a claim."""
    unseen = (stay.resting or 0.0) if stay.unseen is None else stay.unseen
    if is_claim(tag_of(stay.room, stay.session)):
        # Only its last grace counts as rest.
        return now.unix - int(unseen - grace)
    return now.unix - int(max(0.0, unseen))
