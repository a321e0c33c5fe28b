"""From events to a table: a tracker that knows no terminal, and three ways to show it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TextIO

from fasgen.manifests.unit import UnitSummary

if TYPE_CHECKING:
    from rich.table import Table

Counts = Mapping[str, tuple[int, int, int]]
"""By stage: units done, running, waiting."""

Doings = Mapping[str, Mapping[str, int]]
"""By stage: of the running units, how many are with a worker that does not compute yet, by what it does instead."""

PACE = 0.03
"""Share of a run after which its pace tells how long the rest takes."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


class StageStart(NamedTuple):
    """A stage as a run finds it: units in all and done, rows still to do at most, rejects so far by reason, and the seconds of
    work that are foretold for it, None where nobody knows."""

    name: str
    units: int
    done: int
    rows: int
    reasons: Mapping[str, int]
    seconds: float | None = None


class Total(NamedTuple):
    """The run as a whole: seconds since it began, the share of its work that is done, seconds left (None while unknown)."""

    elapsed: float
    share: float
    left: float | None


class StageLine(NamedTuple):
    """A stage's line in the table; ``rate`` in samples a second, ``left`` in seconds, both ``None`` while unknown.

    ``doing`` says of running units that are not computed yet what is done instead: starting, building, compiling.
    """

    name: str
    units: int
    done: int
    running: int
    waiting: int
    rate: float | None
    reasons: Mapping[str, int]
    left: float | None
    doing: Mapping[str, int] = NOTHING


@dataclass(slots=True)
class _Stage:
    start: StageStart
    reasons: Counter[str]
    counts: tuple[int, int, int] = (0, 0, 0)
    doing: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0
    active: float = 0.0


@dataclass(slots=True)
class Tracker:
    """Adds up what a run tells.

    A stage's rate is over the time in which it had a unit in a stage that is ready, so that waiting for another stage does not
    count, nor compiling.

    Args:
        clock: seconds, from any origin.
    """

    clock: Callable[[], float] = time.monotonic
    _stages: dict[str, _Stage] = field(default_factory=dict)
    _looked: float = 0.0
    _began: float = 0.0

    def begin(self, stages: Sequence[StageStart]) -> None:
        """The stages, in order."""
        self._stages = {start.name: _Stage(start, Counter(start.reasons), (start.done, 0, 0)) for start in stages}
        self._looked = self._began = self.clock()

    def unit(self, stage: str, summary: UnitSummary) -> None:
        """A unit was committed."""
        found = self._stages[stage]
        found.rows += summary.planned
        found.reasons.update(summary.reasons)

    def show(self, counts: Counts, doing: Doings = NOTHING) -> None:
        """Where the units are now."""
        now = self.clock()
        for name, after in counts.items():
            stage = self._stages[name]
            if stage.counts[1] > sum(stage.doing.values()):
                stage.active += now - self._looked
            stage.counts, stage.doing = after, doing.get(name, NOTHING)
        self._looked = now

    def lines(self) -> list[StageLine]:
        """The table."""
        lines: list[StageLine] = []
        for name, stage in self._stages.items():
            done, running, waiting = stage.counts
            rate = stage.rows / stage.active if stage.rows and stage.active > 0 else None
            open_ = max(0, stage.start.rows - stage.rows)
            left = open_ / rate if rate and running + waiting else None
            lines.append(
                StageLine(name, stage.start.units, done, running, waiting, rate, dict(stage.reasons), left, stage.doing)
            )
        return lines

    def total(self) -> Total:
        """The run as a whole. A stage counts for as much as was foretold of it, or for its units where nothing was of some."""
        open_ = {name: stage.start.units - stage.start.done for name, stage in self._stages.items()}
        told = {name: stage.start.seconds for name, stage in self._stages.items() if open_[name]}
        known = all(seconds is not None for seconds in told.values()) and sum(seconds or 0.0 for seconds in told.values()) > 0
        weights = {name: (told[name] or 0.0) if known else float(open_[name]) for name in told}
        whole = sum(weights.values())
        made = {name: self._stages[name].counts[0] - self._stages[name].start.done for name in told}
        share = sum(weights[name] * made[name] / open_[name] for name in told) / whole if whole else 1.0
        elapsed = self.clock() - self._began
        # Of a run that has hardly begun, its pace says more of the start than of the work.
        left = elapsed * (1 - share) / share if share >= PACE else None
        return Total(elapsed, share, left)


class Progress(Protocol):
    """What a run tells of itself. A context manager around the run."""

    def begin(self, stages: Sequence[StageStart]) -> None:
        """The stages, in order."""
        ...

    def unit(self, stage: str, summary: UnitSummary) -> None:
        """A unit was committed."""
        ...

    def show(self, counts: Counts, doing: Doings = NOTHING) -> None:
        """Where the units are now, and what is done with them; called several times a second."""
        ...

    def say(self, text: str) -> None:
        """One line for the user."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Silent:
    """Shows nothing; keeps what was said."""

    def __init__(self) -> None:
        self.tracker = Tracker()
        self.said: list[str] = []

    def begin(self, stages: Sequence[StageStart]) -> None:
        """The stages, in order."""
        self.tracker.begin(stages)

    def unit(self, stage: str, summary: UnitSummary) -> None:
        """A unit was committed."""
        self.tracker.unit(stage, summary)

    def show(self, counts: Counts, doing: Doings = NOTHING) -> None:
        """Where the units are now."""
        self.tracker.show(counts, doing)

    def say(self, text: str) -> None:
        """Keep the line."""
        self.said.append(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class Plain(Silent):
    """Lines for a file or a pipe: a stage's line when it has changed, at most every ``every`` seconds, and at the end.

    Args:
        stream: where to.
        every: seconds between two looks.
    """

    def __init__(self, stream: TextIO, every: float = 10.0) -> None:
        super().__init__()
        self._stream, self._every = stream, every
        self._printed: dict[str, tuple[int, int, Mapping[str, int]]] = {}
        self._next = 0.0

    def show(self, counts: Counts, doing: Doings = NOTHING) -> None:
        """Where the units are now."""
        super().show(counts, doing)
        if (now := self.tracker.clock()) >= self._next:
            self._next = now + self._every
            self._print()

    def say(self, text: str) -> None:
        """Print the line."""
        super().say(text)
        print(text, file=self._stream, flush=True)

    def _print(self) -> None:
        news = False
        for line in self.tracker.lines():
            state = line.done, line.running, line.doing
            if self._printed.get(line.name) != state and (line.running or line.done):
                self._printed[line.name] = state
                news = True
                print(sentence(line), file=self._stream, flush=True)
        if news:
            print(f"in all: {in_all(self.tracker.total())}", file=self._stream, flush=True)

    def __exit__(self, *exc: object) -> None:
        self._print()


class Live(Silent):
    """A table that redraws itself, on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live as RichLive

        self._live = RichLive(
            console=Console(file=stream),
            get_renderable=lambda: table(self.tracker.lines(), self.tracker.total()),
            refresh_per_second=4,
        )

    def say(self, text: str) -> None:
        """Print the line above the table."""
        super().say(text)
        self._live.console.print(text, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()


def progress_for(stream: TextIO = sys.stderr) -> Progress:
    """A live table where ``stream`` is a terminal, plain lines otherwise."""
    return Live(stream) if stream.isatty() else Plain(stream)


def hms(seconds: float | None) -> str:
    """``1:02:03`` or ``2:03``; a dash where unknown."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rejects(reasons: Mapping[str, int]) -> str:
    """Rejects by reason, the most frequent first; a dash for none."""
    return ", ".join(f"{name} {count}" for name, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))) or "-"


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1f}"


def _doing(line: StageLine) -> str:
    """What is done instead of computing, in brackets; empty while all running units are computed."""
    parts = [name if count == line.running else f"{count} {name}" for name, count in sorted(line.doing.items())]
    return f" ({', '.join(parts)})" if parts else ""


def sentence(line: StageLine) -> str:
    """A stage's line as plain text."""
    return (
        f"{line.name}: {line.done}/{line.units} units, {line.running} running{_doing(line)}, {line.waiting} waiting, "
        f"{_rate(line.rate)} samples/s, rejects {rejects(line.reasons)}, left {hms(line.left)}"
    )


def in_all(total: Total) -> str:
    """The run as a whole in words."""
    return f"{100 * total.share:.0f} % done, {hms(total.elapsed)} elapsed, {hms(total.left)} left"


def table(lines: Sequence[StageLine], total: Total) -> Table:
    """All stages' lines as a rich table, and the run as a whole below them."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, caption=in_all(total), caption_justify="left")
    for title in ("stage", "done", "of", "running", "waiting", "samples/s", "rejects", "left"):
        drawn.add_column(title, justify="left" if title in ("stage", "rejects") else "right")
    for line in lines:
        cells = (
            line.name,
            str(line.done),
            str(line.units),
            f"{line.running}{_doing(line)}",
            str(line.waiting),
            _rate(line.rate),
        )
        drawn.add_row(*cells, Text(rejects(line.reasons)), hms(line.left))
    return drawn
