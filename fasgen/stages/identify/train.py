"""Training of the identity network: ArcFace's additive angular margin, and learning from a stronger network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from fasgen.errors import WeightsError
from fasgen.stages.identify.iresnet import DEPTHS, IResNet, IResNetConfig
from fasgen.stages.identify.training_config import IdentityTraining
from fasgen.training.faces import Epochs, as_input, counted, list_faces, load_faces
from fasgen.training.layout import memory_format
from fasgen.training.learnt import learnt
from fasgen.training.residency import Bank, fits, sent


class Batch(NamedTuple):
    """Faces (B, 3, 112, 112) in [-1, 1], subjects (B,), and the teacher's standardised maps and unit embeddings, if any."""

    x: Tensor
    subject: Tensor
    map: Tensor | None
    embedding: Tensor | None


class ArcFaceNetwork(nn.Module):
    """The network and the subjects' centres, which are trained with it and left behind at export."""

    def __init__(self, network: IResNet, subjects: int) -> None:
        super().__init__()
        self.network = network
        self.centres = nn.Parameter(F.normalize(torch.randn(subjects, network.config.embedding), dim=1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Faces to (map, unit embedding, cosine to every subject's centre)."""
        identity = self.network(x)
        return identity.map, identity.embedding, identity.embedding @ F.normalize(self.centres, dim=1).T


def arcface_logits(cosine: Tensor, subject: Tensor, s: float, m: float) -> Tensor:
    """ArcFace (Deng et al. 2019, Eq. 3): the target's angle grows by ``m``, clamped to pi; all logits are scaled by ``s``."""
    # In bfloat16 the limits of the clamp would be 1 themselves, where the slope of the arc cosine is infinite.
    cosine = cosine.float()
    theta = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    target = torch.arange(cosine.shape[1], device=subject.device) == subject[:, None]
    return s * torch.where(target, torch.cos((theta + m).clamp(max=torch.pi)), cosine)


class IdentityTask:
    """ArcFace over subjects and imitation of a teacher.

    Args:
        config: settings.
        device: where batches go.
    """

    traced = True

    def __init__(self, config: IdentityTraining, device: torch.device) -> None:
        self.config, self.device = config, device
        rows = config.selector()
        train, held = list_faces(config.faces, rows)
        self.counted = counted(train, held) | rows.counted()
        self.seen = learnt("identity", train, config, {"teacher": config.teacher})
        self.faces, self.held = load_faces(train, 112, config.out), load_faces(held, 112)
        names = sorted({face.subject for face in train})
        self.subjects = torch.tensor([names.index(face.subject) for face in train])
        self.held_subjects = np.array([face.subject for face in held])
        shape = (
            IResNetConfig(DEPTHS[config.depth])
            if config.depth
            else IResNetConfig(config.blocks, config.widths, head=config.head)
        )
        self.module: nn.Module = ArcFaceNetwork(IResNet(shape), len(names))
        self.lesson = _lesson(config, self.faces) if config.teacher else None
        self.layout = memory_format(self.module, device)
        # Plain pictures first, then mirrored ones.
        taught = [] if self.lesson is None else [self.lesson["maps"].flatten(0, 1), self.lesson["embeddings"].flatten(0, 1)]
        resident = fits([self.faces, self.subjects, *taught], device)
        self.bank, self.names = (Bank([rows], device, resident) for rows in (self.faces, self.subjects))
        self.taught = [Bank([rows], device, resident) for rows in taught]
        self.needs_host = not resident
        self.epochs = Epochs(len(self.faces), config.batch, config.seed, config.faces.flip, self.bank.where)

    def batches(self, start: int, rank: int, world: int) -> Iterator[Batch]:
        """Batches mirrored by the coin of each step, with the teacher's word on the very picture shown."""
        for step in count(start):
            index, flip = self.epochs.at(step, rank, world)
            x = as_input(self.bank.take(index), sent(flip, self.device)).contiguous(memory_format=self.layout)
            rows = flip * len(self.faces) + index
            maps, embeddings = (bank.take(rows) for bank in self.taught) if self.taught else (None, None)
            yield Batch(x, self.names.take(index), maps, embeddings)

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Weighted sum of ArcFace's cross-entropy and the two distances to the teacher."""
        config = self.config
        identity_map, embedding, cosine = module(batch.x)
        logits = arcface_logits(cosine, batch.subject, config.scale, config.margin)
        parts = {"arcface": F.cross_entropy(logits, batch.subject)}
        total = config.arcface_weight * parts["arcface"]
        if batch.map is not None and batch.embedding is not None:
            parts["map"] = F.mse_loss(identity_map, batch.map.float())
            parts["teacher"] = 1 - (embedding * batch.embedding).sum(1).mean()
            total = total + config.map_weight * parts["map"] + config.teacher_weight * parts["teacher"]
        return total, parts

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """Area under the ROC curve of same against different subjects among held-out faces, and mean cosines of both."""
        if len(set(self.held_subjects)) < 2:
            return {}
        network: IResNet = module.network  # type: ignore[assignment]
        chosen = np.arange(0, len(self.held), max(1, len(self.held) // 600))
        faces = self.held[torch.from_numpy(chosen)]
        e = torch.cat([network(as_input(part).to(self.device)).embedding.cpu() for part in torch.split(faces, 64)]).numpy()
        names = self.held_subjects[chosen]
        upper = np.triu_indices(len(e), 1)
        cosine, same = (e @ e.T)[upper], (names[:, None] == names[None])[upper]
        rank = np.empty(len(cosine))
        rank[np.argsort(cosine)] = np.arange(1, len(cosine) + 1)
        positives, negatives = int(same.sum()), int((~same).sum())
        auc = (rank[same].sum() - positives * (positives + 1) / 2) / (positives * negatives)
        return {"auc": float(auc), "same": float(cosine[same].mean()), "different": float(cosine[~same].mean())}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` of the network alone."""
        network: IResNet = module.network  # type: ignore[assignment]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(network.config.to_dict(), indent=2) + "\n")
        save_file({k: v.contiguous().cpu() for k, v in network.state_dict().items()}, folder / "model.safetensors")


def _lesson(config: IdentityTraining, faces: Tensor) -> dict[str, Tensor]:
    """The teacher's maps (2, N, 512, 7, 7), standardised per channel, and unit embeddings (2, N, 512), plain and mirrored.

    Computed once and kept in the run's folder under a digest of the teacher and the faces.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise WeightsError(f'teacher: needs the package {error.name}, which is missing: pip install "fasgen[onnx]"') from None

    path = config.teacher
    if path is None or not path.is_file():
        raise WeightsError(f"teacher: no file {path}; give an ONNX network, teacher=FILE, or leave it out")
    key = _digest(path, faces)
    cache = config.out / f"teacher-{key}.safetensors"
    if cache.exists():
        return dict(load_file(cache))
    model = onnx.load(path)
    known = {name for node in model.graph.node for name in node.output}
    for wanted in (config.teacher_map, config.teacher_embedding):
        if wanted not in known:
            raise WeightsError(
                f"teacher: {path} has no output {wanted!r}; set teacher_map and teacher_embedding to nodes of the graph"
            )
    del model.graph.output[:]
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(n) for n in (config.teacher_map, config.teacher_embedding)
    )
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = config.threads or 0
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    maps = torch.empty((2, len(faces), 512, 7, 7), dtype=torch.float16)
    embeddings = torch.empty((2, len(faces), 512))
    for view in (0, 1):
        for first in range(0, len(faces), 64):
            part = faces[first : first + 64].flip(-1) if view else faces[first : first + 64]
            x = ((part.float() - config.teacher_mean) / config.teacher_std).numpy()
            m, e = session.run(None, {session.get_inputs()[0].name: x})
            maps[view, first : first + len(part)] = torch.from_numpy(m).half()
            embeddings[view, first : first + len(part)] = F.normalize(torch.from_numpy(e.reshape(len(part), -1)), dim=1)
    sample = maps[0, :: max(1, len(faces) // 2000)].float()
    mean, std = sample.mean((0, 2, 3))[:, None, None], sample.std((0, 2, 3))[:, None, None].clamp_min(1e-3)
    for view in (0, 1):
        for first in range(0, len(faces), 1024):
            part = maps[view, first : first + 1024]
            part.copy_(((part.float() - mean) / std).half())
    lesson = {"maps": maps, "embeddings": embeddings}
    cache.parent.mkdir(parents=True, exist_ok=True)
    save_file(lesson, cache)
    return lesson


def _digest(teacher: Path, faces: Tensor) -> str:
    digest = hashlib.sha256(teacher.read_bytes())
    digest.update(faces.numpy().data)
    return digest.hexdigest()[:16]


def task(config: IdentityTraining, device: torch.device) -> IdentityTask:
    """The task of ``fasgen train identity``."""
    return IdentityTask(config, device)
