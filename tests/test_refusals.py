"""What cannot run is refused when the run is planned: before a source is listed, and before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from fasgen.commands.options import read_request
from fasgen.errors import ConfigError
from fasgen.pipeline.plan import build_plan
from fasgen.pipeline.resources import Resources


def plan(folder: Path, wanted: list[str], *settings: str) -> None:
    # The source is not there, so that a plan that comes so far ends with another error.
    source = f"sources=[{{name: mine, path: {folder / 'nowhere'}}}]"
    request = read_request([*settings, source], None, folder / "store")
    build_plan(request.config, wanted, folder / "store", resources=Resources(0, 1))


def test_crops_that_the_generator_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"256 x 256 px \(align\.size\).*trained on 112; set align\.size=112"):
        plan(tmp_path, ["all"], "align.size=256")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("wanted", "settings"),
    [(["all"], []), (["align", "identify"], ["align.size=256"]), (["defake"], ["align.size=256", "defake.any_size=true"])],
)
def test_nothing_else_is_refused(tmp_path: Path, wanted: list[str], settings: list[str]) -> None:
    with pytest.raises(Exception, match="nowhere"):
        plan(tmp_path, wanted, *settings)
