"""What was measured under one fault, and which promises it broke."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from drill.people import Observer
from drill.site import Site

# From the end of a fault until everything is right again.
CONVERGED = 5.0
# From a socket's opening, or from the end of a grace, until all observers are told.
TOLD = 1.0


class Measured(NamedTuple):
    """One figure, or the least and the most of several."""

    least: float
    most: float
    unit: str
    # Whether only the most is of interest.
    at_most: bool = True

    def __str__(self) -> str:
        values = [self.most] if self.at_most or self.least == self.most else [*self[:2]]
        words = [f"{value:.2f}" if self.unit == " s" else f"{value:g}" for value in values]
        return " to ".join(words) + self.unit


@dataclass(slots=True)
class Figures:
    """In the order in which they were noted: a name and what was measured.

    A machine that has other work to do may be given `slack`: so many times as long for what it does
    by itself and for telling it, but nobody may be shown offline who is here.
    """

    slack: float = 1
    values: dict[str, Measured] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.values.items())

    def note(self, name: str, value: float, unit: str = " s") -> None:
        self.values[name] = Measured(value, value, unit)

    def at_most(self, name: str, value: float, most: float, unit: str = " s") -> None:
        self.note(name, value, unit)
        if not value <= most:
            self.broken.append(f"{name}: {self.values[name]}, at most {most:g}{unit} was promised")

    def between(self, name: str, values: Sequence[float], least: float, most: float) -> None:
        if not values:
            self.broken.append(f"{name}: never")
            return
        self.values[name] = Measured(min(values), max(values), " s", at_most=False)
        if not least <= min(values) <= max(values) <= most:
            self.broken.append(
                f"{name}: {self.values[name]}, {least:g} to {most:g} s was promised"
            )

    def add(self, further: "Figures") -> None:
        """The worst of both."""
        for name, value in further.values.items():
            known = self.values.setdefault(name, value)
            least, most = min(known.least, value.least), max(known.most, value.most)
            self.values[name] = value._replace(least=least, most=most)
        self.broken += further.broken

    def never_degraded(self, observers: Iterable[Observer]) -> None:
        said = [at for each in observers for at, value in each.view.said_of_degraded if value]
        self.at_most("degraded told", len(said), 0, " times")

    def holds(self, promise: str, kept: bool, otherwise: object = "no") -> None:
        if not kept:
            self.broken.append(f"{promise}: {otherwise}")

    def presence(
        self, site: Site, healed: float, *, within: float = CONVERGED, told: float = TOLD
    ) -> None:
        """Who was shown is who was here: never too few, never for too long.

        `healed` is the end of the fault, or for one that does not end its begin; all is right
        `within` so many seconds, and what happens after it is `told` within so many.
        """
        site.close_the_record()
        records = (site.evidence, site.room)
        spans = [span for evidence in records for span in evidence.wrong_spans()]
        wrong = [each for each in spans if each[0][1] > healed]
        at_first = [end for (begin, end), degraded in wrong if begin <= healed or degraded]
        right = max(at_first, default=healed)
        self.at_most("right again after", right - healed, within * self.slack)
        later = max(
            (end - begin for (begin, end), degraded in wrong if begin > healed and not degraded),
            default=0.0,
        )
        self.at_most("changes told within", later, told * self.slack)
        false = [(each, of) for of in records for each in of.false_offlines()]
        self.at_most("false offlines", len(false), 0, "")
        self.broken += [
            f"falsely offline at {each.node}, {each.at - healed:.2f}: {each.username}:"
            f" {of.history(each.username, healed)}"
            for each, of in false[:5]
        ]
        ghosts = [(*each, of) for of in records for each in of.ghosts(TOLD * self.slack)]
        self.at_most("ghosts", sum((seconds for _, seconds, _ in ghosts), 0.0), 0)
        self.broken += [
            f"{seconds:.1f} s too long at {each.node} from {each.at - healed:.2f}: {each.username}:"
            f" {of.history(each.username, healed)}"
            for each, seconds, of in ghosts[:5]
        ]

    def let_go(
        self, name: str, site: Site, people: Iterable[str], begun: float, until: float = inf
    ) -> None:
        """Other nodes let the people of a node go after its lease and before the promise is over.

        One that could not hear the others meanwhile only knows that it must not be earlier.
        """
        names, promise = list(people), site.lease + site.grace + TOLD * self.slack
        views = [view for view in site.evidence.views if view.node != "c"]
        calm = [view for view in views if not view.was_degraded(begun, begun + promise)]
        gone = [at - begun for at in site.evidence.gone_at(names, begun, calm) if at < until]
        early = [at - begun for at in site.evidence.gone_at(names, begun, views) if at < until]
        missing = len(calm) * len(names) - len(gone)
        self.at_most(f"not {name.removesuffix(' after')}", missing, 0, "")
        if gone:
            self.between(name, gone, site.lease, promise)
        self.holds("nobody is let go within the lease", min(early, default=inf) >= site.lease)

    def degraded(
        self,
        observers: Iterable[Observer],
        begun: float,
        healed: float,
        *,
        told_within: float,
        back_within: float,
    ) -> None:
        """These observers were told that others cannot be heard, and that they can again."""
        told, back, again = [], [], 0
        for observer in observers:
            said = observer.view.said_of_degraded
            # On a busy machine it may have been so already.
            (is_so,) = [False, *(value for at, value in said if at <= begun)][-1:]
            begins = [0.0] if is_so else [at - begun for at, value in said if value and at > begun]
            ends = [at - healed for at, value in said if not value and at > healed]
            told.append(min(begins, default=inf))
            # It may have been before whoever ended the fault knew of it.
            is_back = bool(said) and not said[-1][1]
            back.append(min(ends, default=0.0 if is_back else inf))
            again += sum(value for at, value in said if at > healed)
        self.at_most("degraded told after", max(told), told_within * self.slack)
        self.at_most("taken back after", max(back), back_within * self.slack)
        # A machine that is too busy for a beat.
        self.note("told again later", again, " times")


@dataclass(frozen=True, slots=True)
class Fault:
    """`run` does it to a site of its own, and writes down what it measured."""

    name: str
    done: str
    promised: str
    run: Callable[[Figures], Awaitable[None]]
    # About so many it takes.
    seconds: int
    # It loads the machine, or holds the drill up: nothing else can be measured beside it.
    alone: bool = False

    async def measure(self, slack: float = 1) -> Figures:
        """Whatever goes wrong in the drill itself is a broken promise, too."""
        figures = Figures(slack)
        try:
            async with asyncio.timeout(10 * self.seconds):
                await self.run(figures)
        except Exception as error:
            figures.broken += sorted(set(_causes(error)))
        return figures


def _causes(error: BaseException) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    else:
        yield f"{type(error).__name__}: {error}"


class Faults(list[Fault]):
    def add(
        self, name: str, done: str, *, promised: str, seconds: int, alone: bool = False
    ) -> Callable[[Callable[[Figures], Awaitable[None]]], Callable[[Figures], Awaitable[None]]]:
        def register(
            run: Callable[[Figures], Awaitable[None]],
        ) -> Callable[[Figures], Awaitable[None]]:
            self.append(Fault(name, done, promised, run, seconds, alone))
            return run

        return register
