"""Batches that are balanced, for ``DataLoader(index, batch_sampler=...)``.

What a step reads is a pure function of seed, step and rank: a run resumes at any step, the number of workers changes nothing,
and ranks never share a draw. Draws carry the pass they belong to, so that a sample that comes again is augmented anew.

>>> index = FasIndex("store/pack-1a2b3c4d", decoder)  # doctest: +SKIP
>>> sampler = BalancedSampler(SampleTable.of(index), batch=60, by="dataset")  # doctest: +SKIP
>>> for batch in DataLoader(index, batch_sampler=sampler, num_workers=4, collate_fn=collate):  # doctest: +SKIP
...     ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from math import ceil

from torch.utils.data import Sampler

from fasgen.errors import ConfigError
from fasgen.reader.index import Draw
from fasgen.reader.queues import Queue
from fasgen.reader.split import rank_and_world
from fasgen.reader.table import SampleTable


class StepSampler(Sampler[list[Draw]], ABC):
    """Batches by step.

    Args:
        seed: of all orders.
        start: step to begin at, for a run that resumes.
        steps: step to end before; None goes on for ever.
        rank, world: by default those of ``torch.distributed`` or of the launcher's environment.

    Raises:
        ConfigError: the rank is not in ``[0, world)``, or the steps run backwards.
    """

    def __init__(self, seed: int, start: int, steps: int | None, rank: int | None, world: int | None) -> None:
        if start < 0 or (steps is not None and steps < start):
            raise ConfigError(f"start is {start} and steps {steps}; needed is 0 <= start <= steps")
        self.seed, self.start, self.steps = seed, start, steps
        self.rank, self.world = rank_and_world(rank, world)

    def at(self, step: int) -> list[Draw]:
        """The batch of this rank at ``step``."""
        return self._chunk(step * self.world + self.rank)

    @abstractmethod
    def _chunk(self, number: int) -> list[Draw]:
        """Batch ``number`` of those that the ranks take in turn."""

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in count(self.start) if self.steps is None else range(self.start, self.steps):
            yield self.at(step)

    def __len__(self) -> int:
        """Steps that are left.

        Raises:
            TypeError: the sampler has no end.
        """
        if self.steps is None:
            raise TypeError("the sampler goes on for ever: give it steps")
        return self.steps - self.start


@dataclass(frozen=True, slots=True)
class _Part:
    """Live and spoof of one domain or subject; ``made`` holds synthetic spoofs where they have a share of their own.

    A domain gives ``each`` of live and of spoof to a batch.
    """

    live: Queue
    spoof: Queue | None
    made: Queue | None
    each: int = 0


class BalancedSampler(StepSampler):
    """Live and spoof one to one, in every batch and for every source domain, unless asked otherwise.

    A batch lists, domain by domain in the order of their names, the live samples and then as many spoof samples. Within each
    class of a domain every sample comes once a pass; smaller groups begin their next pass sooner; only at such a seam
    can a sample be twice in a batch. Samples of unknown label are left out.

    Args:
        table: the samples, as many as are to be trained on.
        batch: samples a step and rank.
        by: the column whose values are domains (SSDG: ``dataset``); None takes all samples as one domain.
        synthetic: share of synthetic ones among the spoof samples of each domain: exact over the run, within one sample at any
            time. None does not tell synthetic from photographed.
        mix: by domain, how many times the samples of another one it gives to a batch; 1 where it is not named.
        live_only: domains that give live samples alone, such as sets without attacks; what spoofs they have are not drawn.
        window: see ``Queue``; 0 shuffles everything.
        seed, start, steps, rank, world: see ``StepSampler``.

    Raises:
        ConfigError: the batch does not divide by the shares of all domains (without ``mix``, by twice their number), a domain
            lacks what it must give, or one that is named is not there.
    """

    def __init__(
        self,
        table: SampleTable,
        batch: int,
        *,
        by: str | None = None,
        synthetic: float | None = None,
        mix: Mapping[str, int] | None = None,
        live_only: Collection[str] = (),
        window: int = 0,
        seed: int = 0,
        start: int = 0,
        steps: int | None = None,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        super().__init__(seed, start, steps, rank, world)
        self._share = _share(synthetic)
        domains = list(table.take(table.label >= 0).groups(by))
        names, times = [name for name, _ in domains], dict(mix or {})
        for name in (*times, *live_only):
            if name not in names:
                raise ConfigError(f"mix or live_only names the domain {name!r}; there are: {', '.join(names) or 'none'}")
        if any(count < 1 for count in times.values()) or (domains and set(names) <= set(live_only)):
            raise ConfigError("mix must be 1 or more, and one domain at least must give spoofs as well")
        cells = sum(times.get(name, 1) * (1 if name in live_only else 2) for name in names)
        if not cells or batch < cells or batch % cells:
            wanted = f"a multiple of {cells}" if cells else "samples with labels"
            raise ConfigError(
                f"batch is {batch} a rank; live and spoof of {len(domains)} domains ({by or 'all'}) need {wanted}"
            )
        self._parts = [
            self._part(name, domain, window, batch // cells * times.get(name, 1), name in live_only) for name, domain in domains
        ]

    @property
    def epoch(self) -> int:
        """Steps after which every group has been passed through at least once."""
        share = self._share or Fraction(0)
        steps = 1
        for part in self._parts:
            for queue, rate in ((part.live, Fraction(1)), (part.spoof, 1 - share), (part.made, share)):
                if queue is not None and rate:
                    steps = max(steps, ceil(len(queue) / (part.each * self.world * rate)))
        return steps

    def _part(self, name: str, domain: SampleTable, window: int, each: int, live_only: bool) -> _Part:
        live, made = domain.label == 1, domain.synthetic
        share = self._share

        def queue(kind: str, rows: object) -> Queue:
            members = domain.take(rows)  # type: ignore[arg-type]
            if not len(members):
                raise ConfigError(f"domain {name!r} has no {kind} sample to draw; leave it out or give it some")
            return Queue(members.number, self.seed, f"{name}\x1f{kind}", window)

        if live_only:
            return _Part(queue("live", live), None, None, each)
        if share is None:
            return _Part(queue("live", live), queue("spoof", ~live), None, each)
        return _Part(
            queue("live", live & ~made),
            queue("photographed spoof", ~live & ~made) if share < 1 else None,
            queue("synthetic spoof", ~live & made) if share > 0 else None,
            each,
        )

    def _chunk(self, number: int) -> list[Draw]:
        share = self._share or Fraction(0)
        out: list[Draw] = []
        for part in self._parts:
            n = part.each
            start = number * n
            made, made_next = int(start * share), int((start + n) * share)
            out += part.live.take(start, n)
            if part.spoof is not None:
                out += part.spoof.take(start - made, n - (made_next - made))
            if part.made is not None:
                out += part.made.take(made, made_next - made)
        return out


class SubjectSampler(StepSampler):
    """A few subjects of every data set, each with so many live and so many spoof samples (DLIF: 4 x (4 + 4)).

    A batch lists, data set by data set, subject by subject, the live samples and then the spoof samples. The subjects of a data
    set in one batch differ. A subject with fewer samples than asked for gives some of them again, with other augmentation.
    Subjects without live or without spoof samples, and samples without a subject, are left out; ``left_out`` names them.

    With a share of ``synthetic`` ones, a subject's spoofs are that many synthetic and the rest photographed, exact over its
    visits and within one sample at any time. A subject that has one kind alone gives that one, so that people without a
    photographed attack take part by their synthetic ones; ``stood_in`` names them. At 0 and 1 the other kind is never drawn.

    Args:
        table: the samples.
        subjects: subjects of each data set in a batch.
        live, spoof: samples of each subject.
        synthetic: share of synthetic ones among the spoof samples of each subject. None does not tell them from photographed.
        by: the column whose values are data sets.
        seed, start, steps, rank, world: see ``StepSampler``.

    Raises:
        ConfigError: a data set has fewer complete subjects than a batch needs.
    """

    def __init__(
        self,
        table: SampleTable,
        *,
        subjects: int = 4,
        live: int = 4,
        spoof: int = 4,
        synthetic: float | None = None,
        by: str = "dataset",
        seed: int = 0,
        start: int = 0,
        steps: int | None = None,
        rank: int | None = None,
        world: int | None = None,
    ) -> None:
        super().__init__(seed, start, steps, rank, world)
        self._share = _share(synthetic)
        if min(subjects, live, spoof) < 1:
            raise ConfigError(f"subjects, live and spoof are {subjects}, {live} and {spoof}; each must be at least 1")
        self._subjects, self._counts = subjects, (spoof, live)
        self.left_out: dict[str, str] = {}
        self.stood_in: dict[str, str] = {}
        self.batch = 0
        self._sets: list[tuple[Queue, list[_Part]]] = []
        labelled = table.take(table.label >= 0)
        for name, members in labelled.groups(by):
            people = self._people(members, f"{name}\x1f")
            if len(people) < subjects:
                raise ConfigError(
                    f"data set {name!r} has {len(people)} subjects with live and spoof samples, a batch needs {subjects}; "
                    f"ask for fewer subjects or leave it out"
                )
            self._sets.append((Queue(range(len(people)), seed, f"{name}\x1fsubjects"), people))
            self.batch += subjects * (live + spoof)
        if not self._sets:
            raise ConfigError("there are no samples with labels to draw subjects from")

    def _people(self, members: SampleTable, prefix: str) -> list[_Part]:
        people = []
        for subject, own in members.groups("subject"):
            if not subject:
                self.left_out[f"{prefix[:-1]}: no subject"] = f"{len(own)} samples"
                continue
            live, made = own.label == 1, own.synthetic
            kinds = {"live": live} | (
                {"spoof": ~live}
                if self._share is None
                else {"live": live & ~made, "spoof": ~live & ~made, "made": ~live & made}
            )
            found = {
                kind: Queue(own.number[rows], self.seed, f"{prefix}{subject}\x1f{kind}")
                for kind, rows in kinds.items()
                if rows.any()
            }
            part = self._spoofs(subject, found)
            if part is not None:
                people.append(part)
        return people

    def _spoofs(self, subject: str, found: dict[str, Queue]) -> _Part | None:
        live, spoof, made = (found.get(kind) for kind in ("live", "spoof", "made"))
        if self._share == 0:
            made = None
        elif self._share == 1:
            spoof = None
        elif self._share is not None and (spoof is None) != (made is None):
            self.stood_in[subject] = "synthetic" if spoof is None else "photographed"
        if live is None or (spoof is None and made is None):
            wanted = {Fraction(0): "photographed spoof", Fraction(1): "synthetic spoof"}
            spoofs = "spoof" if self._share is None else wanted.get(self._share, "spoof")
            kind = "live" if live is None else spoofs
            self.left_out[subject] = f"no {kind} sample"
            return None
        return _Part(live, spoof, made)

    def _chunk(self, number: int) -> list[Draw]:
        spoof, live = self._counts
        out: list[Draw] = []
        for order, people in self._sets:
            # A pass ends before subjects would run out within a batch, so that those of a batch differ.
            visit, place = divmod(number, len(people) // self._subjects)
            first = place * self._subjects
            for chosen in order.order(visit)[first : first + self._subjects]:
                part = people[int(chosen)]
                out += part.live.take(visit * live, live) + self._drawn(part, visit * spoof, spoof)
        return out

    def _drawn(self, part: _Part, start: int, count: int) -> list[Draw]:
        """Spoofs ``start`` to ``start + count`` of one subject."""
        if part.spoof is None or part.made is None:
            only = part.spoof or part.made
            return only.take(start, count) if only is not None else []
        share = self._share or Fraction(0)
        made, made_next = int(start * share), int((start + count) * share)
        taken = part.spoof.take(start - made, count - (made_next - made))
        return taken + part.made.take(made, made_next - made)


def _share(synthetic: float | None) -> Fraction | None:
    """As a fraction, since a sum of floats would drift over a long run.

    Raises:
        ConfigError: it is no share.
    """
    if synthetic is not None and not 0 <= synthetic <= 1:
        raise ConfigError(f"synthetic is {synthetic}, a share in [0, 1] is needed")
    return None if synthetic is None else Fraction(synthetic).limit_denominator(10_000)
