"""TensorBoard: every point and every sheet where it is installed, nothing where it is not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from fasgen.training.board import Board


class Recorder:
    """Stands for the writer of a library that the tests need not have."""

    made: list[Recorder] = []  # noqa: RUF012

    def __init__(self, folder: str, purge_step: int | None = None) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: list[tuple[str, float, int]] = []
        self.images: list[tuple[str, Any, int]] = []
        self.closed = False
        Recorder.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def add_image(self, name: str, picture: Any, step: int, dataformats: str) -> None:
        assert dataformats == "HWC"
        self.images.append((name, picture, step))

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Recorder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(Recorder, "made", [])


def sheet(folder: Path, name: str) -> None:
    (folder / "sheets").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "sheets" / name), np.full((4, 6, 3), (0, 0, 255), np.uint8))


@pytest.mark.usefixtures("installed")
def test_points_and_new_sheets_are_written(tmp_path: Path) -> None:
    sheet(tmp_path, "old.png")
    board = Board(tmp_path, 20)
    board.point({"step": 25, "seconds": 3.0, "loss": 0.5, "lr": 0.1})
    sheet(tmp_path, "000030.png")
    board.sheets(30)
    board.sheets(40)
    board.close()
    (writer,) = Recorder.made
    assert board and writer.purge_step == 20 and writer.folder == str(tmp_path / "tensorboard") and writer.closed
    assert writer.scalars == [("loss", 0.5, 25), ("lr", 0.1, 25)]
    ((name, picture, step),) = writer.images
    assert (name, step) == ("000030", 30) and picture.shape == (4, 6, 3) and tuple(picture[0, 0]) == (255, 0, 0)


def test_without_it_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    board = Board(tmp_path, 0)
    board.point({"step": 1, "loss": 0.5})
    board.sheets(1)
    board.close()
    assert not board and not list(tmp_path.iterdir())


def test_the_library_itself_reads_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = Board(tmp_path, 0)
    board.point({"step": 1, "loss": 0.5})
    sheet(tmp_path, "000001.png")
    board.sheets(1)
    board.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(1, 0.5)] and events.Tags()["images"] == ["000001"]
