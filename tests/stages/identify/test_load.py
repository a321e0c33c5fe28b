"""Identity networks from every kind of file, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from fasgen.errors import WeightsError
from fasgen.stages.identify.config import SPEC, IdentifyConfig
from fasgen.stages.identify.iresnet import IResNet
from fasgen.stages.identify.load import load

from .networks import Export, faces, merge, random_network


def as_folder(network: IResNet, path: Path) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(network.config.to_dict()))
    save_file(network.state_dict(), path / "model.safetensors")
    return path


def as_pth(network: IResNet, path: Path) -> Path:
    path = path.with_suffix(".pth")
    torch.save(network.state_dict(), path)
    return path


def as_wrapped_pt(network: IResNet, path: Path) -> Path:
    path = path.with_suffix(".pt")
    state = {f"module.{key}": value for key, value in network.state_dict().items() if "num_batches" not in key}
    torch.save({"epoch": 3, "state_dict": state}, path)
    return path


def as_safetensors(network: IResNet, path: Path) -> Path:
    path = path.with_suffix(".safetensors")
    save_file(network.state_dict(), path)
    return path


def as_onnx(network: IResNet, path: Path) -> Path:
    path = path.with_suffix(".onnx")
    Export(network, merged=False).save(path)
    return path


def as_scaled_matmul_onnx(network: IResNet, path: Path) -> Path:
    path = path.with_suffix(".onnx")
    Export(network, merged=False).save(path, preprocess=True, matmul=True)
    return path


FORMATS = (as_folder, as_pth, as_wrapped_pt, as_safetensors, as_onnx, as_scaled_matmul_onnx)


@pytest.mark.parametrize("save", FORMATS, ids=lambda save: save.__name__)
@pytest.mark.parametrize("depth", [18, 50])
def test_round_trip_is_bit_equal(save: Callable[[IResNet, Path], Path], depth: int, tmp_path: Path) -> None:
    network = random_network(depth)
    found = load(save(network, tmp_path / "net"), depth)
    wanted, got = network(faces()), found(faces())
    assert torch.equal(wanted.map, got.map)
    assert torch.equal(wanted.embedding, got.embedding)
    assert torch.equal(wanted.norm, got.norm)
    assert not found.training and not any(p.requires_grad for p in found.parameters())


@pytest.mark.parametrize("save", [as_folder, as_pth])
def test_round_trip_of_the_small_head(save: Callable[[IResNet, Path], Path], tmp_path: Path) -> None:
    network = random_network(18, "gdc")
    network.config.to_dict()
    assert torch.equal(network(faces()).embedding, load(save(network, tmp_path / "net"))(faces()).embedding)


@pytest.mark.parametrize("depth", [18, 34])
def test_merged_onnx_export(depth: int, tmp_path: Path) -> None:
    """Every merged tensor arrives as it is, and the result is the unmerged network's but for rounding."""
    network, path = random_network(depth), tmp_path / "net.onnx"
    Export(network, merged=True).save(path)
    found = load(path, depth)
    for name, module in network.named_modules():
        if re.fullmatch(r"layer\d\.\d", name):
            weight, bias = merge(module.conv1, module.bn2)  # type: ignore[arg-type]
            assert torch.equal(found.get_parameter(f"{name}.conv1.weight"), weight)
            assert torch.equal(found.get_parameter(f"{name}.conv1.bias"), bias)
    wanted, got = network(faces()), found(faces())
    assert (got.map - wanted.map).abs().max() < 1e-5 * wanted.map.abs().max()
    torch.testing.assert_close(got.embedding, wanted.embedding, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("merged", [False, True])
def test_agrees_with_onnxruntime(merged: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    Export(random_network(), merged=merged).save(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    raw = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"]).run(None, {"input": faces().numpy()})[0]
    found = load(path)(faces())
    np.testing.assert_allclose((found.embedding * found.norm[:, None]).numpy(), raw, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("save", FORMATS, ids=lambda save: save.__name__)
def test_wrong_depth_is_named(save: Callable[[IResNet, Path], Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"blocks 2-2-2-2, but an iResNet-100 has 3-13-30-3; set identify.depth=18"):
        load(save(random_network(), tmp_path / "net"), 100)


def test_any_side_is_resized(tmp_path: Path) -> None:
    network = load(as_pth(random_network(), tmp_path / "net"))
    for size in ((64, 64), (224, 224), (97, 131)):
        assert network(torch.zeros(1, 3, *size)).map.shape == (1, 10, 7, 7)


def test_missing_unexpected_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    state = random_network().state_dict()
    del state["layer2.0.prelu.weight"]
    state["layer9.weight"] = torch.zeros(1)
    state["features.bias"] = torch.zeros(5)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(WeightsError) as error:
        load(tmp_path / "net.pth")
    for part in ("1 missing: layer2.0.prelu.weight", "1 unexpected: layer9.weight", "features.bias (5,) instead of (16,)"):
        assert part in str(error.value)


class Opaque:
    pass


def test_a_pickled_module_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"state_dict": Opaque()}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        load(tmp_path / "net.pth")


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "net.onnx"])
@pytest.mark.parametrize("content", [b"", b"not weights at all" * 20])
def test_damaged_files_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        load(tmp_path / name)


def test_other_networks_and_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        load(tmp_path / "absent.pth")
    (tmp_path / "net.h5").touch()
    with pytest.raises(WeightsError, match=r"unknown kind of weights '\.h5'"):
        load(tmp_path / "net.h5")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="not an iResNet of ArcFace"):
        load(tmp_path / "other.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        load(tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match=r"config\.json"):
        load(tmp_path)


def test_another_onnx_graph_is_refused(tmp_path: Path) -> None:
    export = Export(random_network(), merged=False)
    export.network.prelu, export._slope = torch.nn.PReLU(4), lambda x, prelu: export._node("Relu", x)  # type: ignore[method-assign]
    export.save(tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match="prelu should be PRelu, found Relu"):
        load(tmp_path / "net.onnx")


def test_without_the_extra_an_onnx_file_is_refused_when_the_run_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = as_onnx(random_network(), tmp_path / "net")
    monkeypatch.setattr("fasgen.stages.identify.config.find_spec", lambda name: None)
    settings = IdentifyConfig.model_validate({"weights": str(path)})
    for refused in (lambda: SPEC.weights(settings), lambda: load(path)):
        with pytest.raises(WeightsError, match=r'pip install "fasgen\[onnx\]"'):
            refused()
