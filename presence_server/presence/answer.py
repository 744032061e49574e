"""An answer of another node, as it comes part by part."""

from dataclasses import dataclass, field

from presence_server.presence.letters import States


@dataclass
class Answer:
    """What has come so far of all that a node knows. Each part is taken in when it comes, and so
    are the batches between them; sessions stand with their rooms."""

    number: int
    # Whether something was known of the node before.
    replaces: bool
    # Whether it is what was asked for when the clock became known.
    dates: bool = False
    # Whether it holds only what has changed.
    is_brief: bool = False
    parts: int = 0
    is_whole: bool = False
    # Who was shown before it and is not named yet: they are gone if they are in no part.
    unnamed: set[tuple[str, str]] = field(default_factory=set)
    # Of whom a batch said since what is newer than any part.
    newer: set[tuple[str, str]] = field(default_factory=set)

    def name(self, states: States) -> States:
        """What of a part's states is not said more newly already."""
        self._strike(states)
        if not self.newer:
            return states
        return {
            room: {tag: said for tag, said in some.items() if (room, tag) not in self.newer}
            for room, some in states.items()
        }

    def overtake(self, states: States) -> None:
        """A batch has come between its parts."""
        self._strike(states)
        self.newer |= {(room, tag) for room, some in states.items() for tag in some}

    def _strike(self, states: States) -> None:
        if self.unnamed:
            for room, some in states.items():
                self.unnamed.difference_update((room, tag) for tag in some)
