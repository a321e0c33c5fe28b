"""The benchmark of a GPU: cases that fail cost the others nothing, and what follows from figures is what it should be."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench.gpu.__main__ import main
from bench.gpu.cases import MAIN, cases, networks, parts
from bench.gpu.conduct import Case, conduct
from bench.gpu.kernels import class_of
from bench.gpu.report import derived, image_flop, table


def toy(name: str, function: str, seconds: float = 30.0, **settings: Any) -> Case:
    return Case(name, "toys", f"tests.bench.gpu_toys:{function}", settings, seconds)


def test_all_are_ready_before_the_first_measures_and_failures_are_their_own(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    toys = [
        toy("a", "fine", mark="mark a"),
        toy("b", "early"),
        toy("c", "late"),
        toy("d", "never", 0.5),
        toy("e", "fine", mark="mark e"),
    ]
    common = {"folder": str(tmp_path), "small": True}
    found = conduct(toys, common, lambda **figures: said.append(figures), abreast=5, preparing=60, limit=120)
    assert list(found) == ["a", "b", "c", "d", "e"]
    assert found["a"]["images_s"] == found["e"]["images_s"] == 2.0 and found["a"]["marks"] == 2
    assert "nothing to prepare" in found["b"]["failed"] and "ready" not in found["b"]
    assert "nothing to measure" in found["c"]["failed"] and found["c"]["images_s"] == 1.0
    assert "longer" in found["d"]["failed"]
    assert all({"case", "ready"} != set(figures) for figures in said if figures["case"] == "b")
    text = table(toys, derived(toys, found))
    assert "d: failed: took longer than it may" in text


def test_what_no_time_is_left_for_is_named(tmp_path: Path) -> None:
    found = conduct([toy("a", "fine")], {"folder": str(tmp_path), "small": True}, print, abreast=1, preparing=9, limit=0)
    assert found == {"a": {"failed": "no time was left"}}


def test_every_case_is_a_function_with_a_name_of_its_own() -> None:
    for small in (False, True):
        every = [networks(), *cases(small=small, eager=False)]
        assert len({case.name for case in every}) == len(every)
        for case in every:
            module, _, function = case.target.partition(":")
            assert callable(getattr(import_module(module), function))
    assert all(case.settings.get("compile") != "on" for case in cases(small=True, eager=True))
    with pytest.raises(SystemExit):
        main(["--parts", "defkae"])
    assert "defake" in parts()


NETWORKS = {"unet_flop": 100, "encoder_flop": 10, "decoder_flop": 20, "difffas_flop": 7, "style_flop": 3, "product_flops": 1e6}


def test_operations_of_an_image() -> None:
    """Encoding is shared by the draws of a face; a guided call of DiffFAS has two passes."""
    every = {case.name: case for case in cases(small=False, eager=False)}
    draws = every["defake, compiled, 4 draws of 10 calls"]
    assert image_flop(draws, {"calls": 10}, NETWORKS) == 10 + 4 * (10 * 100 + 20)
    some = every["synth, compiled, three quarters of the calls guided"]
    assert image_flop(some, {"calls": 8}, NETWORKS) == 3 + 8 * 1.75 * 7
    assert image_flop(some, {}, NETWORKS) is None
    assert draws.settings["batch"] * draws.settings["draws"] == MAIN


def test_ratios_limits_and_shares() -> None:
    every = cases(small=False, eager=False)
    name, way = f"defake, compiled, batch {MAIN}", f"store to store, compiled, batch {MAIN}"
    found = {
        "networks": NETWORKS,
        name: {"images_s": 90.0, "ahead_images_s": 95.0, "bare_images_s": 100.0, "calls": 41, "batch": MAIN, "unet_ms": 128.0},
        way: {"images_s": 92.0, "ray_images_s": 91.0},
        "defake, compiled, fp8": {"images_s": 108.0, "bare_images_s": 120.0, "calls": 41, "batch": MAIN},
    }
    figures = derived(every, found)
    assert figures[name]["ratio"] == 0.9 and figures[name]["ahead_ratio"] == 0.95
    assert figures[name]["limit_images_s"] == round(1e6 / 4130, 1)
    assert figures[name]["share"] == round(90 * 4130 / 1e6, 3)
    assert figures[name]["unet_share"] == round(MAIN * 100 / 0.128 / 1e6, 3)
    assert figures[way]["ratio"] == 0.92 and figures[way]["ray_ratio"] == 0.91
    assert figures["defake, compiled, fp8"]["of_bf16"] == 1.2 and "of_bf16" not in figures[name]
    line = next(line for line in table(every, figures).splitlines() if line.startswith(way))
    assert line.removeprefix(way).split() == ["100", "92", "0.92", "91", "0.91"]


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute", "products"),
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NTT", "products"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x64", "products"),
        ("void cutlass::device_kernel<at::cuda::detail::enable_3x_kernel_for_sm9x<...>>", "products"),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 64, 4>>", "attention"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7", "attention"),
        ("triton_red_fused__to_copy_native_group_norm_silu_12", "norms, pointwise"),
        ("triton_poi_fused_add_convolution_mul_3", "norms, pointwise"),
        ("triton_poi_fused_clone_7", "copies, layout"),
        ("triton_poi_fused__to_copy_cat_0", "copies, layout"),
        ("void at::native::elementwise_kernel<128, 4, at::native::direct_copy_kernel_cuda>", "copies, layout"),
        ("void cudnn::ops::nchwToNhwcKernel<__nv_bfloat16, __nv_bfloat16, float>", "copies, layout"),
        ("Memcpy HtoD (Pinned -> Device)", "copies, layout"),
        ("void at::native::vectorized_elementwise_kernel<8, at::native::CUDAFunctor_add>", "norms, pointwise"),
        ("void at::native::(anonymous namespace)::RowwiseMomentsCUDAKernel", "norms, pointwise"),
        ("aten::mkldnn_convolution", "products"),
        ("void histogram_kernel", "other"),
    ],
)
def test_kernels_by_class(kernel: str, kind: str) -> None:
    assert class_of(kernel) == kind


def test_a_small_call_measures_and_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "gpu.json"
    assert main(["--small", "--eager", "--parts", "defake", "--limit", "900", "--preparing", "600", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())["figures"]
    (name,) = set(figures) - {"networks"}
    own = figures[name]
    assert own["images_s"] > 0 and own["ratio"] > 0 and own["share"] > 0 and own["unet_ms"] > 0
    assert sum(own["profile"]["shares"].values()) == pytest.approx(1, abs=0.01)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert all("at" in one and "case" in one for one in said)
