"""A peer in a process of its own, with its own libraries, which waits while others run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class Peer:
    """A script of ``bench/peers`` that tells its version, and then does a round each time it is called.

    Args:
        python: interpreter of the peers' environment.
        script: file in ``bench/peers``.
        arguments: of the script.

    Raises:
        ChildProcessError: with the script's last words.
    """

    def __init__(self, python: Path, script: str, *arguments: str | Path) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).parent / "peers" / script), *map(str, arguments)],
            env={**os.environ, **ONE_THREAD, "PYTHONWARNINGS": "ignore"},
            text=True,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        self.version: str = self._answer()["version"]

    def __call__(self) -> dict[str, Any]:
        """One round."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate()
            raise ChildProcessError(errors.strip().splitlines()[-1] if errors.strip() else "it ended without a word")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
