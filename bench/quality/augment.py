"""Does a classifier gain from synthetic spoofs? Real attacks alone against real and synthetic ones, the same network and steps.

Two protocols on real faces: leave one of the replay domains out; and few-shot on the photographed attacks, one of five
contiguous folds to train on and the others to test. Synthetic spoofs are made of the training part's live faces alone, with
guides from the training part's attacks (DiffFAS) or by the simulation, so that nothing of the test part enters. The simulation
has learnt from nothing. DiffFAS's embedded weights have: they were trained on frames of all replay domains but ``UNSEEN`` and
of the photographs, so that their figures for those groups are flattered, and every table says so.

The threshold is the equal-error threshold of the training part's held-out tail, the last fifth of each group's live and spoof
faces by path, which no classifier sees: that of the test part itself would not be known where it matters.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench.quality.crops import Crops, list_photographs, list_replays
from bench.quality.metrics import text_table
from bench.quality.synthesis import Pairs, kept, synthesise
from fasgen.downstream.metrics import auc, eer_threshold, rates, roc
from fasgen.seeds import sample_seed
from fasgen.stages.physical.config import STYLES
from fasgen.stages.physical.simulate import simulate
from fasgen.stages.synth.config import SynthConfig
from fasgen.stages.synth.stage import Diffusion

Images = NDArray[np.uint8]
SEEDS = 5
SIDE = 64
"""Side of the faces that the classifiers see, px."""

DEV_SHARE = 0.2
UNSEEN = "d4"
"""The replay domain of which DiffFAS's embedded weights saw nothing."""

REAL, SIMULATION, DIFFFAS = "real", "real + simulation", "real + DiffFAS"
Method = Literal["physical", "difffas", "both"]
ARMS: dict[Method, tuple[str, ...]] = {
    "physical": (REAL, SIMULATION),
    "difffas": (REAL, DIFFFAS),
    "both": (REAL, SIMULATION, DIFFFAS),
}
LEAK = (
    f"DiffFAS's embedded weights were trained on frames of the replay domains but {UNSEEN}, and of the photographs: of the "
    f"columns of groups, {UNSEEN} alone is free of that leak"
)


class Classifier(nn.Module):
    """Four strided residual stages; logit of live."""

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 96)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for width in widths:
            layers += [nn.Conv2d(inside, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            inside = width
        self.body, self.head = nn.Sequential(*layers), nn.Linear(inside, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(F.dropout(self.body(x).mean((2, 3)), 0.2, self.training))[:, 0]
        return out


def train(live: Images, spoof: Images, extra: Images, seed: int, steps: int, batch: int = 32) -> Classifier:
    """Half of each batch is live; of the spoofs, a half is synthetic where there are any."""
    torch.manual_seed(seed)
    network = Classifier().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    rng = np.random.Generator(np.random.Philox(key=seed))
    pools = [(live, batch // 2), (spoof, batch // 4 if len(extra) else batch // 2), (extra, batch // 4 if len(extra) else 0)]
    network.train()
    for _ in range(steps):
        images = np.concatenate([pool[rng.integers(len(pool), size=count)] for pool, count in pools if count])
        x = _augmented(images, rng)
        y = torch.cat([torch.ones(batch // 2), torch.zeros(batch - batch // 2)])
        loss = F.binary_cross_entropy_with_logits(network(x), y)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.eval()


def _augmented(images: Images, rng: np.random.Generator) -> Tensor:
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    flip = torch.from_numpy(rng.random(len(x)) < 0.5)
    x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    padded = F.pad(x, (6, 6, 6, 6), mode="replicate")
    side = x.shape[-1]
    moves = rng.integers(0, 13, (len(x), 2)).tolist()
    x = torch.stack([p[:, dy : dy + side, dx : dx + side] for p, (dy, dx) in zip(padded, moves, strict=True)])
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, (len(x), 3, 1, 1)).astype(np.float32))
    return ((x + 1) * gain - 1).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def scores(network: Classifier, images: Images) -> NDArray[np.float64]:
    """Logits of live (N,)."""
    parts = [images[i : i + 64] for i in range(0, len(images), 64)]
    x = [torch.from_numpy(part).permute(0, 3, 1, 2).float() / 127.5 - 1 for part in parts]
    return np.concatenate([network(each.contiguous(memory_format=torch.channels_last)).double().numpy() for each in x])


def judge(
    labels: NDArray[np.int64], found: NDArray[np.float64], dev_labels: NDArray[np.int64], dev: NDArray[np.float64]
) -> dict[str, float]:
    """AUC, and HTER at the equal-error threshold of the held-out part of training (``dev``)."""
    at = rates(labels, found, eer_threshold(roc(dev_labels, dev)))
    return {"auc": auc(roc(labels, found)), "hter": at.hter}


def tails(crops: Crops) -> NDArray[np.bool_]:
    """(N,) the last ``DEV_SHARE`` of each group's live and spoof faces, by path: neighbours are one person or one clip."""
    out = np.zeros(len(crops.names), bool)
    for group in np.unique(crops.groups):
        for kind in (False, True):
            members = np.flatnonzero((crops.groups == group) & (crops.spoof == kind))
            order = sorted(members.tolist(), key=lambda i: (len(str(crops.names[i])), str(crops.names[i])))
            out[order[len(order) - max(round(DEV_SHARE * len(order)), 1) :]] = True
    return out


def shrunk(images: Images) -> Images:
    """(N, SIDE, SIDE, 3): what the classifiers see, averaged over areas."""
    return np.stack([cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in images])


class Spoofs:
    """Synthetic spoofs of a training part.

    Args:
        config: settings of synth.
        each: live faces of a part that are spoofed.
        device: torch's name of the device.
        method: which kinds; without DiffFAS none of its weights are loaded.
    """

    def __init__(self, config: SynthConfig, each: int, device: str, method: Method) -> None:
        # Styles that the weights do not know are rendered too: whether that helps is what is asked.
        self._config = config.model_copy(update={"unseen": "mark"})
        self._stage = None if method == "physical" else Diffusion(self._config, torch.device(device))
        self._each, self._method = each, method

    def of(self, crops: Crops, part: NDArray[np.bool_]) -> list[Images]:
        """The spoofs of each kind, as many of one as of the other."""
        made = [self.simulated(crops, part)] if self._method != "difffas" else []
        return made if self._stage is None else [*made, self.diffused(crops, part, self._stage)]

    def simulated(self, crops: Crops, part: NDArray[np.bool_]) -> Images:
        """Two of each chosen live face."""
        made = []
        for i in self._chosen(crops, part):
            for v in range(2):
                seed = sample_seed(0, "augment.physical", str(crops.names[i]), v)
                style = STYLES[seed % len(STYLES)]
                made.append(simulate(crops.images[i], style, seed, self._config.physical).image)
        return np.stack(made)

    def diffused(self, crops: Crops, part: NDArray[np.bool_], stage: Diffusion) -> Images:
        """Two of each chosen live face, under attacks of the part."""
        attacks = np.flatnonzero(part & crops.spoof)
        live, guide, style, names = [], [], [], []
        for i in self._chosen(crops, part):
            for v in range(2):
                name = f"{crops.names[i]}/{v + 1}"
                chosen = attacks[sample_seed(0, "augment.guide", name) % len(attacks)]
                live.append(crops.images[i])
                guide.append(crops.images[chosen])
                style.append(_key(str(crops.names[chosen]), str(crops.groups[chosen])))
                names.append(name)
        return synthesise(stage, Pairs(np.stack(live), np.stack(guide), style, names, names))

    def _chosen(self, crops: Crops, part: NDArray[np.bool_]) -> list[int]:
        """Live faces of the part, evenly from each group."""
        chosen: list[int] = []
        for group in np.unique(crops.groups[part]):
            members = np.flatnonzero(part & ~crops.spoof & (crops.groups == group))
            count = min(len(members), self._each)
            chosen += members[np.arange(count) * len(members) // max(count, 1)].tolist()
        return chosen


def _key(name: str, group: str) -> str:
    return f"replay|{group}|replay" if name.startswith("replay") else "celebaspoof|celeba|photo"


def measure(
    data: Path,
    out: Path,
    config: SynthConfig,
    *,
    method: Method = "both",
    device: str = "cpu",
    seeds: int = SEEDS,
    steps: int = 100,
    each: int = 20,
) -> dict[str, Any]:
    """Train every arm on every split and seed, write ``augment-<method>.json`` to ``out``, and return the figures."""
    made = Spoofs(config, each, device, method)
    report: dict[str, Any] = {"method": method, "seeds": seeds, "steps": steps, "live_faces_a_group": each, "side": SIDE}
    for protocol, pictures, few in (
        ("replays, one domain left out", list_replays, False),
        ("photographs, one fold to train on", list_photographs, True),
    ):
        crops = kept(data, out, "photographs" if few else "replays", pictures)
        held = tails(crops)
        small = shrunk(crops.images)
        groups = [str(g) for g in np.unique(crops.groups)]
        # Every group's spoofs are made once, of its own faces and guides; a split takes those of its training groups.
        extra = {}
        for group in groups:
            extra[group] = [shrunk(spoofs) for spoofs in made.of(crops, (crops.groups == group) & ~held)]
            print(f"augment: {protocol}: {group}: {len(extra[group][0])} spoofs of each kind", flush=True)
        found: dict[str, Any] = {}
        for group in groups:
            test = crops.groups != group if few else crops.groups == group
            used = [group] if few else [g for g in groups if g != group]
            dev = ~test & held
            arms = (None, *(np.concatenate([extra[g][kind] for g in used]) for kind in range(len(ARMS[method]) - 1)))
            for arm, synthetic in zip(ARMS[method], arms, strict=True):
                live, spoof = (small[~test & ~held & (crops.spoof == kind)] for kind in (False, True))
                more = small[:0] if synthetic is None else synthetic
                runs = []
                for seed in range(seeds):
                    network = train(live, spoof, more, seed, steps)
                    parts = [(_live(crops, part), scores(network, small[part])) for part in (test, dev)]
                    runs.append(judge(*parts[0], *parts[1]))
                found.setdefault(arm, {})[group] = runs
                print(f"augment: {group}: {arm}: HTER {np.mean([r['hter'] for r in runs]):.3f}", flush=True)
        report[protocol] = found
    out.mkdir(parents=True, exist_ok=True)
    (out / f"augment-{method}.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def _live(crops: Crops, part: NDArray[np.bool_]) -> NDArray[np.int64]:
    return (~crops.spoof[part]).astype(np.int64)


def text(report: dict[str, Any]) -> str:
    """Tables: mean over groups, spread over seeds and over groups, and in how many groups an arm beats real attacks alone."""
    lines = [
        f"{report['seeds']} seeds, {report['steps']} steps, {report['side']} px; HTER at the equal-error threshold of the "
        f"training groups' held-out tails"
    ]
    for protocol, found in report.items():
        if not isinstance(found, dict):
            continue
        groups = list(next(iter(found.values())))
        rows = [["", "HTER", "sd seeds", "sd groups", "AUC", "sd seeds", "better in", *groups]]
        base = np.array([[r["auc"] for r in found[REAL][g]] for g in groups]).mean(1)
        for arm, runs in found.items():
            hter = np.array([[r["hter"] for r in runs[g]] for g in groups])
            area = np.array([[r["auc"] for r in runs[g]] for g in groups])
            numbers = [hter.mean(), hter.mean(0).std(), hter.mean(1).std(), area.mean(), area.mean(0).std()]
            won = "-" if arm == REAL else f"{int((area.mean(1) > base).sum())} of {len(groups)}"
            rows.append([arm, *(f"{value:.3f}" for value in numbers), won, *(f"{value:.3f}" for value in area.mean(1))])
        lines += ["", protocol + " (better in: groups whose AUC rises; columns by group: AUC)", text_table(rows)]
    if report["method"] != "physical":
        lines += ["", LEAK]
    return "\n".join(lines)
