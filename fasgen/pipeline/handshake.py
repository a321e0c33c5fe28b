"""Before any work, a worker and the driver make sure that they mean the same: store, code, weights, sources.

What travels are plain documents, so that a worker of another version can still be told what is wrong with it.
"""

from __future__ import annotations

import math
import os
import queue
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fasgen import __version__
from fasgen.errors import FasgenError
from fasgen.manifests import atomic
from fasgen.manifests.weights import digest_weights
from fasgen.pipeline.graph import resolve
from fasgen.pipeline.resources import own_domain
from fasgen.remote.address import scheme_of
from fasgen.remote.cache import located, origin
from fasgen.remote.path import RemoteError, RemotePath

if TYPE_CHECKING:
    from fasgen.pipeline.events import Kind
    from fasgen.pipeline.plan import Plan

PATIENCE = 5.0
"""Seconds that shared file systems may take to show on one node what was written on another."""

HANGS = 120.0
"""Seconds for which a worker may wait for one thing: a disk whose server is gone answers nothing at all, not even an error."""

_TOKEN = "driver"


class Meeting:
    """The driver's side, for the time of a run; a context manager.

    Args:
        plan: the run.

    Raises:
        OSError: on entering: the store cannot be written.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._secret = secrets.token_hex(16)
        self._folder = plan.store / "runs"

    def __enter__(self) -> Self:
        self._folder = atomic.tmp_folder(self._plan.store / "runs", "meeting")
        (self._folder / _TOKEN).write_text(self._secret, "ascii")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        atomic.remove(self._folder)

    def terms(self, kind: Kind) -> dict[str, Any]:
        """What a worker of ``kind`` is asked, in plain values."""
        made = [stage for stage in self._plan.wanted if self._plan.kind(stage) == kind and stage.todo | stage.unsure]
        read = any(not stage.wiring.sets for stage in made)
        roots = {name: how.root for name, how in self._plan.listing.decoding.items()} if read else {}
        return {
            "store": str(self._plan.store),
            "folder": str(self._folder),
            "accelerator": kind == "accelerator",
            "threads": self._plan.resources.threads,
            "seconds": HANGS,
            "stages": {stage.target: stage.spec.version for stage in made},
            "weights": {
                stage.spec.name: {role: origin(path) for role, path in stage.spec.weights(stage.config).items()}
                for stage in made
            },
            # What the driver does not see either is no fault of a worker's.
            "sources": {name: str(root) for name, root in roots.items() if root.exists()},
        }

    def objection(self, kind: Kind, said: Mapping[str, Any]) -> str:
        """Why a worker that has given this answer cannot be used, and what to change; empty if it fits."""
        if why := said.get("error"):
            return str(why)
        if said["version"] != __version__:
            return f"has fasgen {said['version']}, the driver has {__version__}: install the same version on every node"
        if why := said["unseen"]:
            return str(why)
        if said["token"] != self._secret:
            return f"sees another folder under {self._plan.store} than the driver: {_MOUNT}"
        if not self._heard(said["word"], said["secret"]):
            return f"writes into another folder under {self._plan.store} than the driver reads: {_MOUNT}"
        for stage in self._plan.wanted:
            if self._plan.kind(stage) != kind or stage.target not in said["stages"]:
                continue
            version = said["stages"][stage.target]
            if version != stage.spec.version:
                return (
                    f"has version {version} of stage {stage.spec.name}, the driver has {stage.spec.version}: install the same "
                    "version of fasgen on every node"
                )
            weights = said["weights"].get(stage.spec.name, {})
            for role, path in sorted(stage.spec.weights(stage.config).items()):
                if (found := weights.get(role)) != stage.weights[role]:
                    return (
                        f"has other weights of {stage.spec.name} ({role}) at {path}: {str(found)[:12]}, the driver has "
                        f"{stage.weights[role][:12]}: copy the same file to every node, or let it lie on the shared disk"
                    )
        return ""

    def _heard(self, word: str, secret: str) -> bool:
        """Whether the worker's word has come into the driver's folder."""
        # A name, never a path: it comes from elsewhere.
        return _read(self._folder / Path(word).name) == secret


_MOUNT = "mount the same shared disk there, under the same path"


class _Steps:
    """What is waited for, and since when."""

    def __init__(self) -> None:
        self.what = ""
        self.forward()

    def forward(self) -> None:
        """There is some more of it."""
        self.since = time.monotonic()

    def to(self, what: str) -> None:
        """It is something else now."""
        self.what = what
        self.forward()


def answer(terms: Mapping[str, Any]) -> dict[str, Any]:
    """The worker's side: what it sees and has, or for what it waits in vain.

    Args:
        terms: of :meth:`Meeting.terms`.
    """
    # A driver of another version may not say for how long.
    limit: float = terms.get("seconds", HANGS)
    steps, told = _Steps(), queue.SimpleQueue[dict[str, Any]]()
    # Nothing ends a call that waits for a dead disk, so another thread makes it.
    threading.Thread(target=lambda: told.put(_safely(terms, steps)), daemon=True).start()
    while (left := steps.since + limit - time.monotonic()) > 0:
        with suppress(queue.Empty):
            return told.get(timeout=min(left, limit))
    hangs = f"has waited {limit:g} s for {steps.what} and got no answer: is the server of that disk there?"
    return {"version": __version__, "node": socket.gethostname(), "error": hangs}


def _safely(terms: Mapping[str, Any], steps: _Steps) -> dict[str, Any]:
    try:
        return _answer(terms, steps)
    except Exception as error:
        return {"version": __version__, "node": socket.gethostname(), "error": f"cannot do this run's work: {error}"}


def _answer(terms: Mapping[str, Any], steps: _Steps) -> dict[str, Any]:
    steps.to("its own libraries")
    said: dict[str, Any] = {
        "version": __version__,
        "node": socket.gethostname(),
        "stages": {target: resolve(target).version for target in terms["stages"]},
        "domain": own_domain(accelerator=terms["accelerator"], threads=terms["threads"]),
        "token": "",
        "word": "",
        "secret": secrets.token_hex(16),
        "weights": {},
    }
    said["unseen"] = _unseen(terms, steps)
    if said["unseen"]:
        return said
    folder = Path(terms["folder"])
    steps.to(f"the store {terms['store']}")
    said["token"] = _read(folder / _TOKEN)
    said["word"] = f"worker-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        (folder / said["word"]).write_text(said["secret"], "ascii")
    except OSError as error:
        said["unseen"] = f"cannot write into the store {terms['store']} ({error.strerror}): mend its permissions there"
        return said
    for stage, paths in terms["weights"].items():
        steps.to(f"the weights of {stage} at {', '.join(sorted(paths.values()))}")
        try:
            found = {}
            for role, path in paths.items():
                # What fetches ends by itself where nothing comes any more, however long it takes where something does.
                steps.since = math.inf if scheme_of(path) else steps.since
                found[role] = located(path)
            steps.forward()
            said["weights"][stage] = digest_weights(found, forward=steps.forward)
        except FasgenError as error:
            said["unseen"] = f"lacks weights of {stage}: {error}"
    return said


def _unseen(terms: Mapping[str, Any], steps: _Steps) -> str:
    """What this node does not see of what the driver sees."""
    store = Path(terms["store"])
    steps.to(f"the store {store}")
    if not store.is_dir():
        return f"does not see the store {store}: {_MOUNT}"
    if not _appears(Path(terms["folder"])):
        return f"sees another folder under {store} than the driver: what the driver wrote there is not there: {_MOUNT}"
    for name, root in terms["sources"].items():
        steps.to(f"the source {name} at {root}")
        if scheme_of(root):
            if why := _out_of_reach(root):
                return f"does not reach the source {name}: {why}"
        elif not _appears(Path(root)):
            return f"does not see the source {name} at {root}: {_MOUNT}"
    return ""


def _out_of_reach(address: str) -> str:
    """Why this node has nothing of what is at an address; empty where it has."""
    try:
        there = RemotePath(address).exists()
    except RemoteError as error:
        return f"{error}; drivers and credentials are needed on every node"
    return "" if there else f"{address}: nothing is there for this node: are its credentials those of the driver's machine?"


def _appears(path: Path) -> bool:
    """Whether a path is there, given some time."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > deadline:
            return False
        atomic.look_again(path.parent)
        time.sleep(0.1)
    return True


def _read(path: Path) -> str:
    """What stands in a file, once it is there and not empty; empty if it does not come."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if text := path.read_text("ascii"):
                return text
        except (OSError, ValueError):
            atomic.look_again(path.parent)
        if time.monotonic() > deadline:
            return ""
        time.sleep(0.1)
