"""Commands of a chain within this process: each is spared the seconds until its libraries are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner

from fasgen.cli import main


class Done:
    """A command that is over."""

    def __init__(self, code: int) -> None:
        self._code = code

    def poll(self) -> int:
        return self._code


def here(arguments: Sequence[str], log: Path, devices: Sequence[str], held: int) -> Done:
    """A command within this process, to its end."""
    done = CliRunner().invoke(main, list(arguments))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as told:
        told.write(done.output)
        if done.exception and not isinstance(done.exception, SystemExit):
            told.write(f"{done.exception!r}\n")
    return Done(done.exit_code)
