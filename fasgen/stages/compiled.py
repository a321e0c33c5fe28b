"""Compiled functions of stages: one way to compile, a cache that outlives the process, and an account of the time it takes.

Importing this imports no torch.
"""

from __future__ import annotations

import functools
import inspect
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

from fasgen.cache_folder import cache_home

if TYPE_CHECKING:
    import torch

F = TypeVar("F", bound=Callable[..., Any])

Setting = Literal["auto", "off", "on", "max"]
"""What a stage's configuration says of compiling."""

Mode = Literal["off", "on", "max"]
"""What comes of it on a device."""

_ALWAYS = {
    # CUDA graph trees belong to the thread that recorded them; units of one worker are computed by several in turn.
    "triton.cudagraphs": False,
}

_OPTIONS: dict[Mode, dict[str, Any]] = {
    # Nothing that decides the order of a sum is chosen by a stopwatch.
    "on": {"deterministic": True, "max_autotune": False, "coordinate_descent_tuning": False},
    "max": {"deterministic": False, "max_autotune": True, "coordinate_descent_tuning": True, "conv_1x1_as_mm": True},
}

_VERSIONS = 64
"""Compiled versions of one function, by shape and dtype, before torch goes on uncompiled: every rung of every batch."""


class Compiling(NamedTuple):
    """What compiling has cost this process.

    Attributes:
        seconds: spent so far, what is under way included; the time of two threads at once is counted once.
        under_way: whether a thread compiles now.
        here: of ``seconds``, those of the thread that asks.
    """

    seconds: float
    under_way: bool
    here: float


class Account:
    """Adds up the time of nested and simultaneous spans, over all threads and for each.

    Args:
        clock: seconds, from any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._all = _Sum()
        self._local = threading.local()

    def begin(self) -> None:
        """A span begins in this thread."""
        with self._lock:
            now = self._clock()
            self._all.begin(now)
            self._mine().begin(now)

    def end(self) -> None:
        """The span that began last in this thread ends."""
        with self._lock:
            now = self._clock()
            self._all.end(now)
            self._mine().end(now)

    def state(self) -> Compiling:
        """All so far."""
        with self._lock:
            now = self._clock()
            return Compiling(self._all.seconds(now), self._all.open > 0, self._mine().seconds(now))

    # A call on a GPU returns before its kernels have run, so the host's time in one that compiled is compiling to its end: what
    # torch measures of kernels when they are first launched comes after it says that it has compiled.

    @contextmanager
    def calling(self) -> Iterator[None]:
        """A call of a compiled function: compiling that begins inside lasts until it returns."""
        self._local.calls = getattr(self._local, "calls", 0) + 1
        try:
            yield
        finally:
            self._local.calls -= 1
            if not self._local.calls and getattr(self._local, "held", False):
                self._local.held = False
                self.end()

    def compile_begins(self, *_: object) -> None:
        """Torch has begun to compile in this thread."""
        self.begin()
        if getattr(self._local, "calls", 0) and not getattr(self._local, "held", False):
            self._local.held = True
            self.begin()

    def compile_ends(self, *_: object) -> None:
        """Torch has compiled."""
        self.end()

    def _mine(self) -> _Sum:
        if not hasattr(self._local, "sum"):
            self._local.sum = _Sum()
        return cast(_Sum, self._local.sum)


class _Sum:
    """Time during which at least one span was open."""

    def __init__(self) -> None:
        self.open, self._since, self._done = 0, 0.0, 0.0

    def begin(self, now: float) -> None:
        if not self.open:
            self._since = now
        self.open += 1

    def end(self, now: float) -> None:
        self.open -= 1
        if not self.open:
            self._done += now - self._since

    def seconds(self, now: float) -> float:
        return self._done + (now - self._since if self.open else 0.0)


_ACCOUNT = Account()


def compiling() -> Compiling:
    """What compiling has cost this process so far, and whether it is under way."""
    return _ACCOUNT.state()


def resolve(setting: Setting, device: torch.device) -> Mode:
    """What ``setting`` means on ``device``: ``auto`` is ``on`` on CUDA and ``off`` elsewhere."""
    if setting == "auto":
        return "on" if device.type == "cuda" else "off"
    return setting


def compiled(function: F, setting: Setting, device: torch.device) -> F:
    """``function`` compiled for fixed shapes, or itself where ``setting`` resolves to ``off``.

    ``on`` gives the same bits on machines of one kind. ``max`` lets measurements choose kernels, which leaves the determinism
    domain. What is compiled is kept in :func:`compile_cache` for the next process.

    Args:
        function: a function of tensors, or a module; what comes back is for calling only.
        setting: ``auto``, ``off``, ``on`` or ``max``.
        device: where its tensors lie.
    """
    mode = resolve(setting, device)
    if mode == "off":
        return function
    compile_cache()
    import torch
    from torch._dynamo.callback import callback_handler
    from torch._inductor import config

    # Torch forgets who listens when it is reset.
    if _ACCOUNT.compile_begins not in callback_handler.start_callbacks:
        callback_handler.register_start_callback(_ACCOUNT.compile_begins)
        callback_handler.register_end_callback(_ACCOUNT.compile_ends)
    known = config.get_config_copy()
    # Settings of torch's modules hold for the thread that made them; these travel with the function.
    options = {name: value for name, value in (_ALWAYS | _OPTIONS[mode]).items() if name in known}
    more: dict[str, Any] = {}
    if "recompile_limit" in inspect.signature(torch.compile).parameters:
        more["recompile_limit"] = _VERSIONS
    inner = torch.compile(function, dynamic=False, options=options, **more)
    if device.type != "cuda":
        return cast(F, inner)

    @functools.wraps(function, updated=())
    def timed(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return inner(*args, **kwargs)
        with _ACCOUNT.calling():
            return inner(*args, **kwargs)

    return cast(F, timed)


def compile_cache() -> Path:
    """Where compiled code lies; the environment of this process and of those it starts says so from now on.

    ``TORCHINDUCTOR_CACHE_DIR`` and ``TRITON_CACHE_DIR`` stay what they are where the user has set them.
    """
    for name, part in (("TORCHINDUCTOR_CACHE_DIR", "inductor"), ("TRITON_CACHE_DIR", "triton")):
        if _unset(os.environ.get(name, "")):
            os.environ[name] = str(cache_home() / "compiled" / part)
    return Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])


def _unset(value: str) -> bool:
    """Whether nobody chose ``value``: torch itself sets a folder for temporary files, as soon as diffusers is imported."""
    default = Path(tempfile.gettempdir()) / "torchinductor_"
    return not value or os.path.realpath(value).startswith(os.path.realpath(default))
