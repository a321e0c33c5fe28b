"""Two tables from end to end on miniatures: a score by traces, and detectors on DiffFAS's spoofs. `make papers` makes all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chains import every


@pytest.mark.parametrize("name", ["stdn-siw", "difffas-wmca-padisi"])
def test_a_published_table_is_made_whole(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert every.main(["--folder", str(tmp_path), name]) == 0, capsys.readouterr().out
    assert f"{name}: whole" in capsys.readouterr().out
