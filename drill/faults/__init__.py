"""The faults of the drill, by what fails."""

from drill.faults import (
    clients,
    ghosts,
    inside,
    moves,
    network,
    nodes,
    redis,
    rules,
    starts,
    telling,
)
from drill.figures import Fault

FAULTS: list[Fault] = [
    *redis.faults,
    *starts.faults,
    *network.faults,
    *nodes.faults,
    *clients.faults,
    *inside.faults,
    *rules.faults,
    *moves.faults,
    *ghosts.faults,
    *telling.faults,
]
