"""What TensorBoard shows of a training, where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "tensorboard"


class Board:
    """Writes scalars and sheets for TensorBoard below a run's folder; does nothing where it is not installed.

    Args:
        folder: the run's folder.
        step: what was written of later steps by an interrupted run is left out.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._sheets, self._shown = folder / "sheets", set[Path]()
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        # Sheets of before this run are on the board already.
        self._shown = set(self._sheets.glob("*.png"))
        self._writer = SummaryWriter(str(folder / FOLDER), purge_step=step or None)

    def __bool__(self) -> bool:
        return self._writer is not None

    def point(self, values: Mapping[str, float]) -> None:
        """A point of the curve, as `fasgen.training.curve` writes it."""
        if self._writer is not None:
            for name, value in values.items():
                if name not in {"step", "seconds"}:
                    self._writer.add_scalar(name, value, int(values["step"]))

    def sheets(self, step: int) -> None:
        """The sheets of samples that have come since the last time."""
        if self._writer is None:
            return
        import cv2

        for path in sorted(set(self._sheets.glob("*.png")) - self._shown):
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if picture is not None:
                self._writer.add_image(path.stem, picture[:, :, ::-1].copy(), step, dataformats="HWC")
            self._shown.add(path)
        self._writer.flush()

    def close(self) -> None:
        """Write what is still waiting."""
        if self._writer is not None:
            self._writer.close()
