"""Where a device's time goes, by class of kernel."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

CLASSES: tuple[tuple[str, str], ...] = (
    ("copies, layout", r"memcpy|memset|copy|nchwToNhwc|nhwcToNchw|transpose|permute|aten::cat|CatArray|clone|_to_|convert"),
    ("attention", r"flash|fmha|attention|sdpa"),
    ("products", r"gemm|nvjet|cutlass|xmma|wgmma|cublas|cudnn|conv|addmm|aten::mm|bmm|linear|scaled_mm|implicit|splitK"),
    (
        "norms, pointwise",
        r"triton_|norm|moments|elementwise|reduce|welford|softmax|silu|gelu|sigmoid|aten::(add|mul|sub|div)",
    ),
)
"""Class and what the names of its kernels hold, in the order in which they are asked."""

_TRITON_COPY = re.compile(
    r"triton_poi_fused(?:_(?:_to_copy|clone|cat|permute|transpose|view|_unsafe_view|constant_pad_nd))+_\d+$"
)
_PATTERNS = [(name, re.compile(pattern, re.IGNORECASE)) for name, pattern in CLASSES]


def class_of(kernel: str) -> str:
    """Class of a kernel, or of an operation on a CPU, by its name."""
    if kernel.startswith("triton_"):
        # Named after all that was fused into it: one that does nothing but move numbers says so.
        return "copies, layout" if _TRITON_COPY.match(kernel) else "norms, pointwise"
    return next((name for name, pattern in _PATTERNS if pattern.search(kernel)), "other")


def profile(call: Callable[[], object], sync: Callable[[], None], *, cuda: bool) -> dict[str, Any]:
    """Shares of the time of all kernels by class, how many ran, how much of the wall's time they fill, the largest.

    On a CPU its operations stand for kernels.
    """
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    sync()
    with record(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as recorded:
        began = time.perf_counter()
        call()
        sync()
        wall = time.perf_counter() - began
    times: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for event in recorded.key_averages():
        spent = event.self_device_time_total if cuda else event.self_cpu_time_total
        # An operation of the host is charged with the kernels that it starts; those are counted themselves.
        if spent > 0 and (not cuda or "CUDA" in str(event.device_type)):
            times[event.key] += spent
            counts[event.key] += event.count
    whole = sum(times.values()) or 1
    shares: Counter[str] = Counter()
    for name, spent in times.items():
        shares[class_of(name)] += spent
    return {
        "shares": {name: round(spent / whole, 3) for name, spent in shares.most_common()},
        "busy": round(whole / 1e6 / wall, 3),
        "kernels": sum(counts.values()),
        "largest": [(name[:80], round(spent / whole, 3), counts[name]) for name, spent in times.most_common(10)],
    }
