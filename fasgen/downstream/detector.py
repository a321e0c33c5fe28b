"""A trained detector as a run leaves it: what it is made of, what made its input, and its network ready to score."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from fasgen.downstream.backbones import RESNETS, load_pretrained
from fasgen.downstream.config import LOOP_IS_TOLD, Experiment
from fasgen.downstream.data import Batch
from fasgen.downstream.dlif import Dlif, DlifSettings
from fasgen.downstream.networks import FasNet
from fasgen.downstream.resnet import ResNet
from fasgen.errors import ConfigError, StoreError, WeightsError
from fasgen.seen import Seen, read_seen

RUN, ABOUT, FINAL, WEIGHTS = "run.json", "detector.json", "final", "model.safetensors"
FORMAT = "fasgen-detector/1"
SIGN = "live"
"""What a higher score tells of a face."""

Shape = Mapping[str, Any]
"""What of a network follows from the samples that train it, and not from the settings; JSON."""


def fas_network(experiment: Experiment, shape: Shape) -> FasNet:
    """The network of the method fas; ImageNet weights where the settings name their files.

    Args:
        experiment: settings.
        shape: ``cue_channels``, ``domains`` (number) and ``styles`` (for each style class whether it is live).

    Raises:
        WeightsError: a file does not fit.
    """
    channels, domains, styles = int(shape["cue_channels"]), int(shape["domains"]), [bool(one) for one in shape["styles"]]
    return FasNet(experiment.model, experiment.loss, experiment.data.size, channels, domains, styles)


def dlif_network(experiment: Experiment, shape: Shape) -> Dlif:
    """The network of the method dlif; ImageNet weights where the settings name their file.

    Args:
        experiment: settings.
        shape: ``subjects`` (number).

    Raises:
        WeightsError: the file does not fit.
    """
    d = experiment.dlif
    settings = DlifSettings(d.contrast, d.ambiguous, d.orthogonal, d.live_margin, d.spoof_margin, d.scale, d.tau)
    encoders = [ResNet(RESNETS[experiment.model.backbone]) for _ in range(2)]
    if experiment.model.pretrained is not None:
        for encoder in encoders:
            load_pretrained(encoder, experiment.model.pretrained)
    return Dlif(encoders[0], encoders[1], int(shape["subjects"]), settings)


def write_about(folder: Path, shape: Shape, cues: Sequence[str], shards: Sequence[Path]) -> None:
    """Write what a run's settings do not say of its detector: shape, cues, and how the stages made its shards."""
    about = {"format": FORMAT, "shape": dict(shape), "cues": list(cues), "made": [stages_of(path) for path in shards]}
    (folder / ABOUT).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", "utf-8")


def stages_of(shards: Path) -> list[dict[str, Any]]:
    """The stages behind shards as their index tells it; none where there is no index.

    Raises:
        StoreError: the index is damaged.
    """
    folder = shards if shards.is_dir() else shards.parent
    try:
        listed = json.loads((folder / "index.json").read_bytes()).get("stages") or []
        return [{key: one[key] for key in ("stage", "version", "config", "weights", "seed")} for one in listed]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{folder / 'index.json'}: is no index of shards ({error!r}): `fasgen run` writes it again") from None


@dataclass(frozen=True, slots=True)
class Detector:
    """A trained detector.

    Attributes:
        folder: of its run.
        experiment: its settings.
        method, protocol, seed: which run of them, as its scores are called.
        cues: cues that it reads, stacked in this order.
        net: the network, for inference.
        made: by stage, how its shards were made: ``version``, ``config``, ``weights`` (digests by role), ``seed``.
        seen: what it has learnt from; None where it does not say.
        device: where it computes.
    """

    folder: Path
    experiment: Experiment
    method: str
    protocol: str
    seed: str
    cues: tuple[str, ...]
    net: FasNet | Dlif
    made: Mapping[str, Mapping[str, Any]]
    seen: Seen | None
    device: torch.device

    @torch.inference_mode()
    def score(self, batch: Batch) -> Tensor:
        """Liveness (B,) in [0, 1], on the CPU."""
        net = self.net
        scores = net.score(batch.image) if isinstance(net, Dlif) else net.score(batch.image, batch.cue)
        return scores.float().cpu()

    @torch.inference_mode()
    def features(self, batch: Batch) -> Tensor:
        """What the score is read from, (B, width) float32 on the CPU: the normalised embedding; of dlif U's features."""
        net = self.net
        found: Tensor = net.u(batch.image) if isinstance(net, Dlif) else net(batch.image, batch.cue).embedding
        return found.float().cpu()


def load_detector(run: Path, device: torch.device) -> Detector:
    """The detector of a run.

    Args:
        run: the folder ``<out>/<variant>/<fold>/seed-<n>`` of an experiment, or one above it with no other finished run in it.
        device: where it shall compute.

    Raises:
        ConfigError: there is no finished run, or there are several; or its shards were made by several settings.
        WeightsError: its files are damaged or do not fit together.
    """
    folder = _find(run)
    path = folder / ABOUT
    try:
        mark, about = json.loads((folder / RUN).read_bytes()), json.loads(path.read_bytes())
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}, not {FORMAT!r}")
        experiment = Experiment.model_validate_json(json.dumps(_as_given(mark["settings"])))
        cues, shape, made = tuple(map(str, about["cues"])), dict(about["shape"]), _agreed(folder, about["made"])
        method, protocol, seed = (str(mark[key]) for key in ("method", "protocol", "seed"))
        # Begun from whatever, it is filled below.
        bare = experiment.model.model_copy(update={"pretrained": None, "cue_pretrained": None})
        make = fas_network if experiment.method == "fas" else dlif_network
        net = make(experiment.model_copy(update={"model": bare}), shape)
    except FileNotFoundError:
        raise WeightsError(f"{path}: is not there: the run is of a version that wrote none; train it again") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ValidationError) as error:
        raise WeightsError(f"{folder}: does not say how its detector is built ({error}): train it again") from None
    weights = folder / FINAL / WEIGHTS
    try:
        net.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"{weights}: are not the weights of this run ({str(error).splitlines()[0]}): train it again"
        ) from None
    net.eval().requires_grad_(False).to(device)
    return Detector(folder, experiment, method, protocol, seed, cues, net, made, read_seen(weights), device)


def _as_given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without defaults that may not be given: whatever is written down counts as given."""
    loop = {key: value for key, value in settings["loop"].items() if key not in LOOP_IS_TOLD}
    protocol = {key: value for key, value in settings["protocol"].items() if key != "kind" or not settings["protocol"]["name"]}
    return {**settings, "loop": loop, "protocol": protocol}


def _find(run: Path) -> Path:
    def finished(folder: Path) -> bool:
        return (folder / RUN).is_file() and (folder / FINAL / WEIGHTS).is_file()

    if finished(run):
        return run
    found = sorted(path.parent for path in run.rglob(RUN) if finished(path.parent)) if run.is_dir() else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(f"{run}: no finished run of `fasgen experiment` lies here (no {RUN} with {FINAL}/{WEIGHTS})")
    names = ", ".join(str(path.relative_to(run)) for path in found[:8]) + (", ..." if len(found) > 8 else "")
    raise ConfigError(f"{run}: holds {len(found)} detectors: name one of {names}")


def _agreed(folder: Path, made: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    """How each stage was set, over all shards that the detector learnt from.

    Raises:
        ConfigError: shards of different settings were mixed.
    """
    agreed: dict[str, Mapping[str, Any]] = {}
    for one in (one for stages in made for one in stages):
        other = agreed.setdefault(str(one["stage"]), one)
        if (other["config"], other["weights"]) != (one["config"], one["weights"]) and not one["stage"].startswith("pack"):
            raise ConfigError(
                f"{folder}: its detector learnt from shards that {one['stage']} made with different settings, so that nothing "
                "says which to take; score shards instead"
            )
    return agreed
