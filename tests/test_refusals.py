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


def test_crops_that_cannot_be_taken_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"stdn: the crops are 224 x 224 px .*; set align\.size=\d+, .*or allow it with stdn"):
        plan(tmp_path, ["stdn"], "stdn.enabled=true", "align.size=224")


def spoofs(folder: Path) -> str:
    for name in ("live/a/1.jpg", "spoof/b/print/1.jpg", "spoof/b/replay/1.jpg"):
        (folder / "faces" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "faces" / name).write_bytes(b"x")
    pattern = "^(?P<label>live|spoof)/(?P<subject>[^/]+)/(?:(?P<attack_type>[^/]+)/)?"
    return f"sources=[{{name: mine, path: '{folder / 'faces'}', pattern: '{pattern}'}}]"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["synth.styles=['mine|*']"], ""),
        (["synth.styles=['*|print', '*|replay']"], ""),
        (["synth.styles=['*|prnt']"], r"'\*\|prnt' of synth\.styles matches no style\. Styles: mine\|\?\|print, mine"),
        (
            ["synth.styles=['*|print', 'physical*']"],
            r"'physical\*' of synth.styles matches no style; simulated ones count with",
        ),
        (["synth.styles=['*|print', 'physical*']", "synth.pool=both"], ""),
        (["synth.styles=['mine*']", "synth.pool=simulated"], r"'mine\*' of synth.styles matches no style\. Styles: physical"),
        (["synth.pool=real", "sources.0.include=['live/*']"], "no source has a spoof file"),
        (["synth.pool=auto", "sources.0.include=['live/*']"], ""),
    ],
)
def test_styles_that_nothing_has(tmp_path: Path, settings: list[str], said: str) -> None:
    request = read_request([spoofs(tmp_path), *settings], None, tmp_path / "store")

    def made() -> None:
        build_plan(request.config, ["synth"], tmp_path / "store", resources=Resources(0, 1))

    if not said:
        made()
        return
    with pytest.raises(ConfigError, match=said):
        made()


@pytest.mark.parametrize(
    ("wanted", "settings"),
    [(["all"], []), (["align", "identify"], ["align.size=256"]), (["defake"], ["align.size=256", "defake.any_size=true"])],
)
def test_nothing_else_is_refused(tmp_path: Path, wanted: list[str], settings: list[str]) -> None:
    with pytest.raises(Exception, match="nowhere"):
        plan(tmp_path, wanted, *settings)
