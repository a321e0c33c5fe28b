"""What a stage is: a specification that costs nothing to import, and a function over samples that a worker holds.

A stage maps a list of samples to a list of products or rejects of the same length in the same order. It knows samples and
tensors; it never sees paths of samples, units, Ray, retries or the store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fasgen.marks import Term
from fasgen.records import Column, Reason, Scalar

if TYPE_CHECKING:
    import torch

RGB = NDArray[np.uint8]
"""An image: H x W x 3, uint8, RGB, sRGB levels 0 to 255."""


PICTURE = "picture"
"""In place of a stage's name in `Reads`: whichever stage made the picture of the samples at hand, the crop or the spoof."""

NOT_CUES = frozenset({"image", "png", "json", "label", "meta", "embedding"})
"""Names that mean something else in a shard, or to its readers."""


class StageConfig(BaseModel):
    """Base of every stage's configuration: frozen, and unknown keys are errors.

    Attributes:
        LATER: settings that came when stores were there already: at their default they are no part of the plan hash.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    LATER: ClassVar[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class ArrayField:
    """One array that a stage writes for each sample.

    Attributes:
        name: field name; the Zarr array of the unit has it.
        dtype: NumPy dtype name, for example ``int16``.
        doc: what it holds, with axes and range.
    """

    name: str
    dtype: str
    doc: str


@dataclass(frozen=True, slots=True)
class Cue(ArrayField):
    """An array that is a cue: H x W x C numbers beside the crop, from which a trainer learns what is live.

    Its name is its name everywhere: array field, ``pack.cues``, member ``<id>.<name>.npy`` of a shard, reader, sheets.
    ``plan.json`` carries all of this, so that a store can be read, drawn and described without the stage.

    Attributes:
        one: the stored number that stands for 1, full scale.
        card: what it is and how it is used, in a few sentences of Markdown, for the data card.
        drawn: how it is shown: ``signed``, in which 0 is grey; ``magnitude``, in which 0 is black.
        leaves: name of the picture that is left when the cue is taken from the image, for a cue that is the exact difference,
            in levels; empty for others.
        columns: columns of the stage that go into a sample's JSON.
    """

    one: float
    card: str
    drawn: Literal["signed", "magnitude"] = "signed"
    leaves: str = ""
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name) or self.name in NOT_CUES:
            raise ValueError(
                f"a cue cannot be called {self.name!r}: give it a word that is none of {', '.join(sorted(NOT_CUES))}"
            )
        if not self.one > 0:
            raise ValueError(f"cue {self.name}: the stored number that stands for 1 is {self.one}, more than 0 is needed")


@dataclass(frozen=True, slots=True)
class SampleCue:
    """A cue of one sample.

    Attributes:
        cue: its declaration.
        array: H x W x C, as stored.
        values: its columns, and those of ``MADE_BY``.
    """

    cue: Cue
    array: NDArray[Any]
    values: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Reads:
    """What a stage takes of a sample from one upstream stage's committed unit.

    Of a sample that was made of a photograph, it is what the upstream stage made of the sample itself; where that stage does
    not run on such samples, what it made of the photograph.

    Attributes:
        stage: upstream stage's name, or ``PICTURE``.
        images: image fields, decoded to RGB and put into ``Sample.images`` under ``field``.
        encoded: image fields wanted as stored bytes in ``Sample.files`` under ``field`` (nothing is decoded).
        arrays: array fields, put into ``Sample.arrays``.
        columns: manifest columns, put into ``Sample.values``.
        prefix: put before every name, where two stages have fields of one name.
        cue: a cue, put into ``Sample.cues`` with its columns; `StageSpec.gathers` leads to it.
        parent: of the photograph that the sample was made of, whatever there is of the sample itself.
        lanes: lanes on which it is read at all; empty: on all.
    """

    stage: str
    images: tuple[str, ...] = ()
    encoded: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    prefix: str = ""
    cue: Cue | None = None
    parent: bool = False
    lanes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Roster:
    """For a stage whose rows are drawn from all of upstream's rows at once: who meets whom.

    The roster is drawn when every unit of ``source`` is committed, and lies in the generation's folder. Each of its entries is
    a planned row: an ok row of ``source`` with a variant number from 1 on.

    Attributes:
        source: the stage whose manifests are read.
        draw: ``module:function``, called as ``draw(rows, config, seed)``. ``rows`` has, by name, an array of each provenance
            column and of ``sample_id``, ``unit``, ``row`` and ``status``, over all units. It gives entries: mappings with
            ``unit``, ``row``, ``variant``, ``place`` (rank within the unit, from 0, which decides batch and slot),
            ``parent_ids``, the row's provenance, and the roster's own columns. An entry with a ``reason`` is a row that is
            rejected unseen.
        columns: the roster's own columns; a stage finds them in ``Sample.values``. ``guide_unit`` and ``guide_row``, where they
            are among them and not null, name the guide.
        variants: from a config, entries expected for each row, for estimates.
        notes: ``module:function``, called as ``notes(rows, config)``: sentences on what was drawn otherwise than one would
            expect, which every summary of the store begins with; empty: there are none.
    """

    source: str
    draw: str
    columns: tuple[Column, ...]
    variants: Callable[[Any], int]
    notes: str = ""


def never_off(config: Any) -> bool:
    """For stages that are always part of a run."""
    return False


@dataclass(slots=True)
class Sample:
    """One sample as a stage receives it.

    Attributes:
        sample_id: 16 hex digits; stable over runs and machines.
        seed: this sample's seed at this stage; all its randomness comes from it.
        slot: its place in the batch, ``row % batch``. A stage that runs a network puts the sample there and leaves the other
            places zero, so that a sample's result never depends on which of its neighbours were rejected.
        images: decoded images by field, H x W x 3 uint8 RGB. A stage that reads sources finds ``image``.
        arrays: arrays by field.
        cues: cues by name, for a stage that gathers them.
        files: stored bytes by field, for stages that ask for them encoded.
        values: provenance columns and the columns asked for; for a stage that reads sources also ``frames_decoded``, the
            frames of the video (None where unknown), and ``source_sha256``, the digest of the file in hex (None where the
            pixels lie inside another file).
        variant: 0 for what was photographed, from 1 on for what was synthesised from it.
        nearby: for a stage that reads sources, decodes other frames of the video when it is called and iterated: decoded
            index and image, the nearest first; None where there are none.
    """

    sample_id: str
    seed: int
    slot: int
    images: dict[str, RGB] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    cues: dict[str, SampleCue] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    values: dict[str, Scalar] = field(default_factory=dict)
    variant: int = 0
    nearby: Callable[[], Iterator[tuple[int, RGB]]] | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """What a stage made of one sample.

    Attributes:
        images: by field, H x W x 3 uint8 RGB; stored losslessly as PNG.
        arrays: by field, of the dtype that the specification declares.
        files: by member extension, stored in the unit's tar as ``<sample_id>.<extension>`` as they are.
        values: this stage's own columns.
        frame: decoded index of the frame that was used instead of the sample's; None: the sample's was used.
    """

    images: Mapping[str, RGB] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    values: Mapping[str, Scalar] = field(default_factory=dict)
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a sample has no product."""

    reason: Reason
    detail: str = ""


class Stage(Protocol):
    """A stage held by a worker: built from its config and a device, then called batch after batch."""

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        """Map up to ``batch`` samples to as many products or rejects, in order."""
        ...


Collect = Callable[[], "list[Product | Reject]"]
"""Waits for what was launched and gives its products or rejects, in order."""


@runtime_checkable
class Launchable(Stage, Protocol):
    """A stage that can launch a batch and let go of it. The worker launches the next one before it collects this one, so that
    the device goes on while the host makes products.

    Called as a whole it is ``start(batch)()``. A launched batch is collected once, in any order relative to other launches and
    possibly while another thread launches one; or never, where something else went wrong.
    """

    def start(self, batch: Sequence[Sample]) -> Collect:
        """Launch all that the device has to do for ``batch``; returns what waits for it and builds the products."""
        ...


StageFactory = Callable[[Any, "torch.device"], Stage]
"""``factory(config, device)``: loads weights onto ``device`` and returns the callable stage."""


def no_weights(config: Any) -> dict[str, Path]:
    """For stages without weights."""
    return {}


def never_refuses(config: Any, given: object) -> str:
    """For stages that run on whatever they get."""
    return ""


def as_it_is(config: Any, store: Path) -> Any:
    """For stages of which a store says nothing."""
    return config


def no_marks(config: Any) -> dict[str, Term]:
    """For stages that generate no image."""
    return {}


@dataclass(frozen=True, slots=True)
class StageSpec:
    """All that the pipeline knows of a stage. Importing it must not import torch.

    Attributes:
        name: stage name, also its key in the configuration.
        summary: one line for tables and help.
        version: raised by hand whenever the stage's output changes for the same config; part of the plan hash.
        reads: inputs from upstream stages, the primary one (whose ok rows are this stage's rows) first; empty for a stage
            that reads sources.
        config: its configuration class.
        factory: ``module:attribute`` of its factory, imported in the worker only.
        columns: its own manifest columns; those with ``higher`` are scores.
        images: names of the image fields it may write.
        picture: which of them is the picture of the sample from here on: the crop, or the spoof that was made of it. Empty for
            stages that leave the picture as it is.
        arrays: array fields it may write; a `Cue` among them is shipped, drawn and described.
        weights: from a config, the weight files and folders it will load, by role; their digests enter the plan hash.
        batch: from a config, samples per call; batches never cross a unit.
        device: ``accelerator`` for stages that gain from a GPU, ``cpu`` for those that do not.
        tar: name of the unit's tar, formatted with ``unit``.
        shipped: true if the product is the final delivery, which gets an index and a data card when a run has made all it can.
        lanes: lanes on which it runs, of those on which it finds what it reads; empty: all. A lane is what was photographed
            (``PHOTOGRAPHED``), or what a stage with a roster draws, under the name of that stage. What it makes of the first
            has the stage's name, what of another has that lane's name before it (``synth_defake``).
        joins: whether its lanes go into one generation; else each has a generation of its own.
        guides: what is read of each row's guide (`Roster`), best under a prefix; every unit of these stages must be committed
            before the first unit is made.
        roster: for a stage that draws its rows; it then has one upstream stage, ``roster.source`` being the primary.
        off: from a config, whether the stage is left out of runs altogether, with all that cannot do without it.
        gathers: for a stage that reads the cues of all others: from a config, the names of those that it takes, None for all
            that stages make which are on. On each of its lanes it finds those that are made of the lane's samples.
        synthetic: from a config, those of its images that are generated, with the term of the mark that their files get.
        refusal: from its configuration and those of the other stages of the run, by name, why it cannot run with them; empty
            where it can. Asked when a run is planned, before anything is made: it reads what weights say of themselves.
        style_refusal: from its configuration and the style keys of the sources' spoof files, why it would make nothing of them;
            empty where it makes something. Asked when the sources have been listed.
        rehearse: ``module:function``, called as ``rehearse(stage, side)``: one full batch of the stage's configuration through
            a built stage, from made-up samples with crops of ``side`` px (0 where no stage above has a ``size``) to products.
            With it, a setting ``batch`` of ``auto`` is found by measuring; such a stage's ``batch`` gives the usual one.
        declares: from a config, the arrays that it may write, where they hang on it; else those of ``arrays``.
        settle: from a config and a store, the config with what the store says of it, before a run is planned.
        remedies: what to do where the stage keeps nothing or little, a sentence by the most frequent reason; under ``None``
            where it draws its rows and there is none to draw.
    """

    name: str
    summary: str
    version: int
    reads: tuple[Reads, ...]
    config: type[StageConfig]
    factory: str
    columns: tuple[Column, ...] = ()
    images: tuple[str, ...] = ()
    picture: str = ""
    arrays: tuple[ArrayField, ...] = ()
    weights: Callable[[Any], dict[str, Path]] = no_weights
    batch: Callable[[Any], int] = lambda config: 16
    device: Literal["accelerator", "cpu"] = "cpu"
    tar: str = "{unit:05d}.tar"
    shipped: bool = False
    lanes: tuple[str, ...] = ()
    joins: bool = False
    guides: tuple[Reads, ...] = ()
    roster: Roster | None = None
    off: Callable[[Any], bool] = never_off
    gathers: Callable[[Any], Sequence[str] | None] | None = None
    synthetic: Callable[[Any], Mapping[str, Term]] = no_marks
    refusal: Callable[[Any, Mapping[str, Any]], str] = never_refuses
    style_refusal: Callable[[Any, Collection[str]], str] = never_refuses
    rehearse: str = ""
    declares: Callable[[Any], tuple[ArrayField, ...]] | None = None
    settle: Callable[[Any, Path], Any] = as_it_is
    remedies: Mapping[Reason | None, str] = field(default_factory=dict)

    @property
    def cues(self) -> tuple[Cue, ...]:
        """Its arrays that are cues."""
        return tuple(array for array in self.arrays if isinstance(array, Cue))

    def of(self, config: Any) -> StageSpec:
        """The specification under a configuration: with the arrays that this declares."""
        return replace(self, arrays=self.declares(config), declares=None) if self.declares else self

    def build(self, config: StageConfig, device: torch.device) -> Stage:
        """Import the factory and build the stage on ``device``."""
        module, _, attribute = self.factory.partition(":")
        factory: StageFactory = getattr(import_module(module), attribute)
        return factory(config, device)
