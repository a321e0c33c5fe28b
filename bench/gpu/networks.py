"""The networks of the papers' sizes with random weights, what a call of each costs, and the yardstick: a matrix product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench import generators
from bench.gpu.case import Bench

PRODUCTS = 20
"""Matrix products that are timed together."""


def flops(call: Callable[[], object]) -> int:
    """Floating-point operations of a call, a multiplication and an addition counting as two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def networks(bench: Bench) -> Iterator[None]:
    """Write them; count on one sample; then time the product of two square matrices in bfloat16."""
    import torch

    cuda = bench.device.type == "cuda"
    generators.defake(bench.folder / "defake", side=bench.side, tiny=bench.small, device=str(bench.device))
    generators.difffas(bench.folder / "difffas", side=bench.side, tiny=bench.small, device=str(bench.device))
    bench.say(torch=torch.__version__, device=torch.cuda.get_device_name() if cuda else "CPU", side=bench.side)
    bench.say(**_defake(bench))
    if not bench.small:
        bench.say(**_difffas())
    yield
    side = 8192 if cuda else 256
    a, b = (torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    c = torch.empty_like(a)

    def multiply() -> None:
        for _ in range(PRODUCTS):
            torch.mm(a, b, out=c)

    multiply()
    took = bench.seconds(multiply, 3)
    bench.say(product_flops=PRODUCTS * 2 * side**3 / took)


def _defake(bench: Bench) -> dict[str, int]:
    import torch

    from fasgen.stages.defake.model import DFG

    dfg = DFG.load(bench.folder / "defake").to(bench.device)
    with bench.device:
        image = torch.zeros(1, 3, bench.side, bench.side)
        z = torch.zeros(1, 4, bench.side // 8, bench.side // 8)
        known, step = dfg.tokens(torch.zeros(1, 49, 512)), torch.zeros(1, dtype=torch.int64)
    return {
        "unet_parameters": _count(dfg.unet),
        "unet_flop": flops(lambda: dfg.predict(z, step, known)),
        "autoencoder_parameters": _count(dfg.latents),
        "encoder_flop": flops(lambda: dfg.latents.encode(image)),
        "decoder_flop": flops(lambda: dfg.latents.decode(z)),
    }


def _difffas() -> dict[str, int]:
    from fasgen.stages.networks import figures

    paper = {one.name: one for one in figures() if one.origin == "paper"}
    return {
        "difffas_parameters": paper["DiffFAS, U-Net"].parameters,
        "difffas_flop": int(paper["DiffFAS, U-Net"].gflops * 1e9),
        "style_flop": int(paper["DiffFAS, style encoder"].gflops * 1e9),
    }


def _count(network: Any) -> int:
    return sum(p.numel() for p in network.parameters())
