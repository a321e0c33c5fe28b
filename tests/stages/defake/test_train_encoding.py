"""All faces encoded once are what a batch of them is encoded to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fasgen.stages.defake.autoencoder import PatchAutoencoder
from fasgen.stages.defake.model import Latents
from fasgen.stages.defake.train_encoding import Encoder
from fasgen.stages.identify.iresnet import IResNet, IResNetConfig

CPU = torch.device("cpu")


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    vae = PatchAutoencoder(widths=(16, 16), blocks=1, latent_channels=4)
    identity = IResNet(IResNetConfig((1, 1, 1, 1), (4, 4, 4, 4), head="gdc"))
    return Encoder(Latents(vae).eval(), identity.eval(), CPU)


def test_every_face_plain_then_mirrored_and_only_once(encoder: Encoder, tmp_path: Path) -> None:
    faces = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    latents, tokens = encoder.encode_all(faces, tmp_path)
    assert latents.shape == (6, 4, 4, 4) and tokens.shape == (6, 49, 512) and latents.dtype == tokens.dtype == torch.float16
    mirrored = torch.tensor([False, True, True])
    z, c = encoder(faces, mirrored)
    rows = mirrored * 3 + torch.arange(3)
    # Half precision keeps three digits.
    assert torch.allclose(latents[rows].float(), z, atol=5e-3, rtol=2e-3)
    assert torch.allclose(tokens[rows].float(), c, atol=5e-3, rtol=2e-3)
    (file,) = tmp_path.iterdir()
    stamp = file.stat().st_mtime_ns
    again = encoder.encode_all(faces, tmp_path)
    assert torch.equal(again[0], latents) and file.stat().st_mtime_ns == stamp
    encoder.encode_all(faces + 1, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2, "other faces are other latents"
