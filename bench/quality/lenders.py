"""Synthetic spoofs of strangers, for probes to learn from. Each is made once and kept on disk.

The live faces are those held out of every training here. A spoof under a guide takes it from the attacks of one set; a probe
that may learn from several sets gets its spoofs from all of them by turns, as many as from one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality.live import WILD, live_faces
from bench.quality.strangers import Strangers
from bench.quality.synthesis import Pairs, synthesise
from fasgen.manifests.weights import digest_weights
from fasgen.seeds import sample_seed
from fasgen.stages.physical.config import PLAIN, STYLES
from fasgen.stages.physical.simulate import simulate
from fasgen.stages.synth.config import SynthConfig, model_folder
from fasgen.stages.synth.stage import Diffusion

Images = NDArray[np.uint8]

COUNT = 400
DIFFFAS, SIMULATION, PHOTOMETRIC, THRICE = "DiffFAS", "simulation", "photometric", "simulation, three each"
"""Kinds of spoofs. Photometric is the control that needs no knowledge of attacks: the simulation's plain styles alone. The last
asks what the amount does: three spoofs of each stranger, in three styles."""
EACH = 3
_SAVED = 64
"""Spoofs after which those made are kept: DiffFAS takes a second each on a CPU core."""


class Lenders:
    """Live faces of strangers and their spoofs.

    Attributes:
        live: (M, H, W, 3).
        people: (M,).
        kinds: of spoofs.
        ours: those of them that fasgen makes.

    Args:
        data: folder of the data sets.
        out: folder to keep spoofs in.
        config: settings of synth.
        faces: whose attacks are guides.
        device: torch's name of the device.
        count: how many strangers.
    """

    kinds = (DIFFFAS, SIMULATION, PHOTOMETRIC, THRICE)
    ours = (DIFFFAS, SIMULATION)

    def __init__(self, data: Path, out: Path, config: SynthConfig, faces: Strangers, device: str, count: int = COUNT) -> None:
        found = live_faces("wild", data, out, subjects=(), limit=count)
        self.live, self._names = found.crops, found.names
        self.people = np.array([f"{WILD} {subject}" for subject in found.subjects])
        # Styles that the weights do not know are rendered too: whether that helps is what is asked.
        self._config = config.model_copy(update={"unseen": "mark"})
        self._faces, self._out, self._device = faces, out / "lent", device
        self._made: dict[str, Images] = {}

    def spoofs(self, kind: str, sources: Sequence[str]) -> Images:
        """One spoof (M, H, W, 3) of each stranger, or three, all strangers after each other.

        Args:
            kind: of spoof.
            sources: sets whose attacks may be guides; without meaning where there are no guides.
        """
        if kind != DIFFFAS:
            if kind not in self._made:
                turns = EACH if kind == THRICE else 1
                made = [self._without_guide(kind, i, turn) for turn in range(turns) for i in range(len(self.live))]
                self._made[kind] = np.stack(made)
            return self._made[kind]
        ordered = sorted(sources)
        each = [self._diffused(source) for source in ordered]
        turns = np.arange(len(self.live)) % len(ordered)
        return np.stack([each[turn][i] for i, turn in enumerate(turns)])

    def _without_guide(self, kind: str, i: int, turn: int) -> Images:
        # The first of three is the one.
        told = f"lent {SIMULATION if kind == THRICE else kind}" + (f" {turn}" if turn else "")
        styles = PLAIN if kind == PHOTOMETRIC else STYLES
        style = styles[(i + turn * (len(styles) // EACH)) % len(styles)]
        return simulate(self.live[i], style, sample_seed(0, told, self._names[i]), self._config.physical).image

    def _diffused(self, source: str) -> Images:
        if source in self._made:
            return self._made[source]
        weights = digest_weights({"difffas": model_folder(self._config.weights)})["difffas"][:8]
        walk = f"t{self._config.t}-g{self._config.gamma}-{self._config.steps}-{self._config.sampler}".replace(" ", "")
        path = self._out / f"{weights}-{walk}-{source}.npz"
        names = np.array(self._names)
        made = np.zeros((0, *self.live.shape[1:]), np.uint8)
        if path.exists():
            with np.load(path, allow_pickle=False) as f:
                if np.array_equal(f["names"], names):
                    made = f["images"]
        if len(made) < len(names):
            path.parent.mkdir(parents=True, exist_ok=True)
            stage = Diffusion(self._config, torch.device(self._device))
            pairs = self._pairs(source)
            while len(made) < len(names):
                part = slice(len(made), len(made) + _SAVED)
                some = Pairs(pairs.live[part], pairs.guide[part], pairs.style[part], pairs.names[part], pairs.subjects[part])
                made = np.concatenate([made, synthesise(stage, some)])
                np.savez(path, images=made, names=names)
                print(f"{DIFFFAS}, guides of {source}: {len(made)} of {len(names)}", flush=True)
        self._made[source] = made
        return made

    def _pairs(self, source: str) -> Pairs:
        attacks = np.flatnonzero(self._faces.spoof & (self._faces.sets == source))
        guide, style = [], []
        for name in self._names:
            chosen = attacks[sample_seed(0, f"lent guide {source}", name) % len(attacks)]
            guide.append(self._faces.images[chosen])
            style.append(style_key(str(self._faces.names[chosen])))
        return Pairs(self.live, np.stack(guide), style, [f"{name}/{source}" for name in self._names], self.people.tolist())


def style_key(path: str) -> str:
    """Of an attack's path below the data folder, as trainings here name it."""
    top, *rest = path.split("/")
    return {"nuaa": "nuaa|webcam|print", "celeba_spoof_dev": "celebaspoof|celeba|photo"}.get(top) or f"replay|{rest[0]}|replay"
