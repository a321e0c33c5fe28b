"""Every training as tests run it: tiny settings, and what loads what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from fasgen.stages.defake.autoencoder import PatchAutoencoder
from fasgen.stages.defake.model import DFG, load_module
from fasgen.stages.defake.training_config import AutoencoderTraining
from fasgen.stages.identify.load import load as load_identity
from fasgen.stages.lgsc.network import GeneratorConfig, SpoofCueGenerator
from fasgen.stages.network_folder import load_network
from fasgen.stages.stdn.generator import Generator
from fasgen.stages.synth.difffas.model import DiffFAS
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder
from fasgen.training.config import FacesConfig, LoopConfig, trainings
from tests.stages.defake.test_training import dfg_settings
from tests.stages.identify.test_train import config as identity_settings
from tests.stages.lgsc.test_training import settings as lgsc_settings
from tests.stages.stdn.test_training import settings as stdn_settings
from tests.stages.synth.difffas import tiny
from tests.stages.synth.difffas.test_training import settings as difffas_settings
from tests.stages.synth.difffas.test_training import style_settings


def _autoencoder(faces: Path, out: Path, **more: Any) -> LoopConfig:
    shape = {"widths": (16, 16), "blocks": 1, "latent_channels": 4}
    held = {"path": faces, "size": 32, "holdout": ("eve",)}
    return AutoencoderTraining.model_validate({"out": out, "faces": held, "batch": 4, **shape} | more)


def _identity(faces: Path, out: Path, **more: Any) -> LoopConfig:
    held = {"path": faces, "holdout": ("eve",)}
    return identity_settings(faces, out, **more).model_copy(update={"faces": FacesConfig.model_validate(held)})


def _dfg(faces: Path, out: Path, **more: Any) -> LoopConfig:
    return dfg_settings(faces, Path("embedded"), Path("embedded"), out, **more)


def _difffas(faces: Path, out: Path, **more: Any) -> LoopConfig:
    tiny.encoder().save(out.parent / "style")
    return difffas_settings(faces, out.parent / "style", out, **more)


def _autoencoder_of(folder: Path) -> nn.Module:
    module: nn.Module = load_module(PatchAutoencoder, folder)
    return module


Settings = Callable[..., LoopConfig]
TRAINED: dict[str, tuple[Settings, Callable[[Path], nn.Module]]] = {
    "identity": (_identity, load_identity),
    "autoencoder": (_autoencoder, _autoencoder_of),
    "dfg": (_dfg, DFG.load),
    "style": (style_settings, StyleEncoder.load),
    "difffas": (_difffas, DiffFAS.load),
    "lgsc": (lgsc_settings, lambda folder: load_network(folder, SpoofCueGenerator, GeneratorConfig)),
    "stdn": (stdn_settings, lambda folder: Generator.load(folder / "generator")),
}
"""By name: ``settings(faces, out, **more)``, and what loads the finished network."""

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in trainings()),
    ("dfg", {"cache": True}),
    ("dfg", {"cache": True, "accumulate": 2, "checkpointing": True}),
    ("difffas", {"batch": 6, "prediction": "sample", "transfer": {"share": 0.5, "gamma": (1, 3)}, "identity": "embedded"}),
    ("difffas", {"prediction": "sample", "anchor": 0.25, "modulated": True, "null": "grey", "learned_variance": False}),
    ("lgsc", {"norm": "instance", "schedule": "step", "decay_every": 1}),
    ("stdn", {"paired_weight": 5.0, "optimiser": "sgd"}),
]
"""Every training, and settings under which it takes other ways."""


def ids(value: Any) -> str:
    """Names of a variant's parts in test names."""
    return value if isinstance(value, str) else "-".join(value) or "plain"
