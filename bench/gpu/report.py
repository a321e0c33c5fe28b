"""From the figures of all cases to ratios, shares of what the device can do, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.gpu.conduct import Case

Figures = Mapping[str, Any]

COLUMNS = {
    "bare_images_s": "bare",
    "images_s": "images/s",
    "ratio": "ratio",
    "ahead_images_s": "ahead",
    "ahead_ratio": "ratio",
    "ray_images_s": "Ray",
    "ray_ratio": "ratio",
    "limit_images_s": "limit",
    "share": "share",
    "of_bf16": "of bf16",
    "unet_share": "U-Net",
    "busy": "busy",
    "memory_gib": "GiB",
    "first_s": "first, s",
    "compiling_s": "compiling, s",
    "ray_first_s": "Ray first, s",
}
"""Figures of the table and their heads."""

LEGEND = """\
bare: images a second of the bare loop, at the same batch, with the same (compiled) networks; images/s: of the stage, batch
after batch, or from store to store by the local engine; ahead: launched batch behind batch, as the worker does it; Ray: from
store to store on Ray; ratio: of the figure before it to bare; limit: if the device did the method's operations at the rate of
the matrix product; share: images/s of that limit; of bf16: images/s beside that of bfloat16; U-Net: share of the product's rate
that a call of the U-Net alone reaches; busy: share of a batch's time in which a kernel ran; first, s: to the end of the first
batch, or to the first committed unit, from an empty cache of compiled code in store to store, with other cases compiling
beside it; Ray first, s: in a new process, which finds compiled code on the disk"""


def image_flop(case: Case, figures: Figures, networks: Figures) -> float | None:
    """Floating-point operations that the method asks for an image; None where they were not counted."""
    calls = figures.get("calls")
    if calls is not None and case.target.endswith(":defake") and "unet_flop" in networks:
        draws = int(case.settings.get("draws", 1))
        return float(networks["encoder_flop"] + draws * (calls * networks["unet_flop"] + networks["decoder_flop"]))
    if calls is not None and case.target.endswith(":synth") and "difffas_flop" in networks:
        guided = float(case.settings.get("guided", 1.0))
        return float(networks["style_flop"] + calls * (1 + guided) * networks["difffas_flop"])
    return None


def derived(cases: Sequence[Case], found: Mapping[str, Figures]) -> dict[str, dict[str, Any]]:
    """All figures by case, with those that follow from several."""
    networks = found.get("networks", {})
    peak = networks.get("product_flops")
    out: dict[str, dict[str, Any]] = {name: dict(figures) for name, figures in found.items()}
    for case in cases:
        figures = out.get(case.name, {})
        if "images_s" not in figures:
            continue
        loop = figures.get("bare_images_s") or _bare_of(case, cases, found)
        if loop:
            ratios = {"ratio": "images_s", "ahead_ratio": "ahead_images_s", "ray_ratio": "ray_images_s"}
            figures |= {name: round(figures[rate] / loop, 3) for name, rate in ratios.items() if rate in figures}
            figures["bare_images_s"] = loop
        flop = image_flop(case, figures, networks)
        if flop and peak:
            figures |= {"limit_images_s": round(peak / flop, 1), "share": round(figures["images_s"] * flop / peak, 3)}
        if case.settings.get("dtype") == "fp8" and (wide := _wide_rate(case, cases, found)):
            figures["of_bf16"] = round(figures["images_s"] / wide, 3)
        if "unet_ms" in figures and peak and "unet_flop" in networks:
            done = figures["batch"] * networks["unet_flop"] / (figures["unet_ms"] / 1e3)
            figures["unet_share"] = round(done / peak, 3)
        if "profile" in figures:
            figures["busy"] = figures["profile"]["busy"]
    return out


def _wide_rate(case: Case, cases: Sequence[Case], found: Mapping[str, Figures]) -> float | None:
    """Images a second of the case that differs from one of float8 by the type alone."""
    same = [one for one in cases if one.target == case.target and _method(one) == _method(case) | {"dtype": None}]
    return next((found[one.name]["images_s"] for one in same if "images_s" in found.get(one.name, {})), None)


def _method(case: Case) -> dict[str, Any]:
    """Settings that decide what is computed, not how it is measured."""
    return {"dtype": None, **{key: value for key, value in case.settings.items() if key not in ("rounds", "details")}}


def _bare_of(case: Case, cases: Sequence[Case], found: Mapping[str, Figures]) -> float | None:
    """Images a second of the bare loop at the batch and under the compile setting of a case that has none of its own."""
    alike = [
        found[other.name]["bare_images_s"]
        for other in cases
        if other.target.endswith(":defake")
        and not {"draws", "dtype"} & other.settings.keys()
        and all(other.settings.get(key) == case.settings.get(key) for key in ("batch", "compile"))
        and "bare_images_s" in found.get(other.name, {})
    ]
    return alike[0] if case.target.endswith(":store") and alike else None


def table(cases: Sequence[Case], figures: Mapping[str, Figures]) -> str:
    """One line a case that found something, then profiles, then what failed."""
    shown = [case for case in cases if figures.get(case.name, {}).get("images_s") is not None]
    columns = [name for name in COLUMNS if any(name in figures[case.name] for case in shown)]
    lines = [["", *(COLUMNS[name] for name in columns)]]
    lines += [[case.name, *(_cell(figures[case.name].get(name)) for name in columns)] for case in shown]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    text = [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    ]
    text = [*text, "", LEGEND, ""] if shown else []
    for name, own in figures.items():
        if "profile" in own:
            shares = ", ".join(f"{kind} {share:.0%}" for kind, share in own["profile"]["shares"].items())
            text.append(f"{name}: {own['profile']['kernels']} kernels a batch: {shares}")
    text += [f"{name}: {_others(own)}" for name, own in figures.items() if _others(own)]
    return "\n".join([*text, *(f"{name}: failed: {own['failed']}" for name, own in figures.items() if "failed" in own)])


def _others(figures: Figures) -> str:
    """What neither the table nor the line of the profile holds."""
    known = {*COLUMNS, "profile", "failed", "batch"}
    return ", ".join(f"{name} {_cell(value)}" for name, value in figures.items() if name not in known)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
