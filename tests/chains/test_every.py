"""A table from end to end on miniatures: a score by traces. `make papers` makes all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chains import every


def test_a_published_table_is_made_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert every.main(["--folder", str(tmp_path), "stdn-siw"]) == 0, capsys.readouterr().out
    assert "stdn-siw: whole" in capsys.readouterr().out
