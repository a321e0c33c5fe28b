"""Does a classifier gain from synthetic spoofs? Real attacks alone against real and synthetic ones, the same network and steps.

Two protocols on real faces: leave one of the replay domains out; and few-shot on the photographed attacks, one of five
contiguous folds to train on and the others to test. Synthetic spoofs are made of the training part's live faces alone, with
guides from the training part's attacks (DiffFAS) or by the simulation, so that nothing of the test part enters. What DiffFAS's
own weights were trained on is another matter, which the model card tells.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from fasgen.stages.synth.config import SynthConfig, simulated_key
from fasgen.stages.synth.physical.config import STYLES
from fasgen.stages.synth.physical.simulate import simulate
from fasgen.stages.synth.stage import Diffusion

Images = NDArray[np.uint8]
SEEDS = 5
ARMS = ("real", "real + simulation", "real + DiffFAS")


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


def judge(labels: NDArray[np.int64], found: NDArray[np.float64]) -> dict[str, float]:
    """AUC, and HTER at the equal-error threshold of the test part itself, as the field reports it."""
    points = roc(labels, found)
    at = rates(labels, found, ["attack"] * len(labels), eer_threshold(points))
    return {"auc": auc(points), "hter": at.hter}


class Spoofs:
    """Synthetic spoofs of a training part, cached by the names of the faces.

    Args:
        config: settings of synth.
        each: live faces of a part that are spoofed.
        device: torch's name of the device.
    """

    def __init__(self, config: SynthConfig, each: int, device: str) -> None:
        self._stage = Diffusion(config, torch.device(device))
        self._each = each

    def simulated(self, crops: Crops, part: NDArray[np.bool_]) -> Images:
        """Two of each chosen live face."""
        made = []
        for i in self._chosen(crops, part):
            for v in range(2):
                seed = sample_seed(0, "augment.physical", str(crops.names[i]), v)
                style = STYLES[seed % len(STYLES)]
                made.append(simulate(crops.images[i], style, seed, self._stage.config.physical).image)
        return np.stack(made)

    def diffused(self, crops: Crops, part: NDArray[np.bool_]) -> Images:
        """Two of each chosen live face: one under an attack of the part, one under a simulated guide."""
        attacks, lives = np.flatnonzero(part & crops.spoof), np.flatnonzero(part & ~crops.spoof)
        live, guide, style, names = [], [], [], []
        for i in self._chosen(crops, part):
            name = str(crops.names[i])
            seed = sample_seed(0, "augment.guide", name)
            live += [crops.images[i]] * 2
            real = attacks[seed % len(attacks)]
            guide.append(crops.images[real])
            style.append(_key(str(crops.names[real]), str(crops.groups[real])))
            look = STYLES[seed % len(STYLES)]
            other = lives[(seed >> 8) % len(lives)]
            guide.append(simulate(crops.images[other], look, seed, self._stage.config.physical).image)
            style.append(simulated_key(look))
            names += [f"{name}/1", f"{name}/2"]
        stage = self._stage
        unseen = stage.config.model_copy(update={"unseen": "mark"})
        stage.config = unseen
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
    data: Path, out: Path, config: SynthConfig, *, device: str = "cpu", seeds: int = SEEDS, steps: int = 150, each: int = 20
) -> dict[str, Any]:
    """Train every arm on every split and seed, write ``augment.json`` to ``out``, and return the figures."""
    made = Spoofs(config, each, device)
    report: dict[str, Any] = {"seeds": seeds, "steps": steps, "live_faces_a_group": each}
    for protocol, pictures, few in (
        ("replays, one domain left out", list_replays, False),
        ("photographs, one fold to train on", list_photographs, True),
    ):
        crops = kept(data, out, "photographs" if few else "replays", pictures)
        groups = [str(g) for g in np.unique(crops.groups)]
        # Every group's spoofs are made once, of its own faces and guides; a split takes those of its training groups.
        extra = {}
        for group in groups:
            part = crops.groups == group
            extra[group] = (made.simulated(crops, part), made.diffused(crops, part))
            print(f"augment: {protocol}: {group}: {len(extra[group][0])} spoofs of each kind", flush=True)
        found: dict[str, Any] = {}
        for group in groups:
            test = crops.groups != group if few else crops.groups == group
            used = [group] if few else [g for g in groups if g != group]
            arms = (None, *(np.concatenate([extra[g][kind] for g in used]) for kind in (0, 1)))
            labels = (~crops.spoof[test]).astype(np.int64)
            for arm, synthetic in zip(ARMS, arms, strict=True):
                live, spoof = (crops.images[~test & (crops.spoof == kind)] for kind in (False, True))
                more = crops.images[:0] if synthetic is None else synthetic
                networks = (train(live, spoof, more, seed, steps) for seed in range(seeds))
                runs = [judge(labels, scores(network, crops.images[test])) for network in networks]
                found.setdefault(arm, {})[group] = runs
                print(f"augment: {group}: {arm}: HTER {np.mean([r['hter'] for r in runs]):.3f}", flush=True)
        report[protocol] = found
    out.mkdir(parents=True, exist_ok=True)
    (out / "augment.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def text(report: dict[str, Any]) -> str:
    """Tables: mean over groups, spread over seeds and over groups."""
    lines = [f"{report['seeds']} seeds, {report['steps']} steps; HTER at the test part's own equal-error threshold"]
    for protocol, found in report.items():
        if not isinstance(found, dict):
            continue
        groups = list(next(iter(found.values())))
        rows = [["", "HTER", "sd seeds", "sd groups", "AUC", *groups]]
        for arm, runs in found.items():
            hter = np.array([[r["hter"] for r in runs[g]] for g in groups])
            area = np.array([[r["auc"] for r in runs[g]] for g in groups])
            numbers = [hter.mean(), hter.mean(0).std(), hter.mean(1).std(), area.mean(), *hter.mean(1)]
            rows.append([arm, *(f"{value:.3f}" for value in numbers)])
        lines += ["", protocol + " (columns by group: HTER)", text_table(rows)]
    return "\n".join(lines)
