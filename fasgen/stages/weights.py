"""Where the weights that come with fasgen lie."""

from __future__ import annotations

from pathlib import Path

from fasgen.errors import WeightsError

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def embedded(name: str) -> Path:
    """Folder of embedded weights.

    Args:
        name: ``identity``, ``dfg``, ``difffas``, ``lgsc``, ``stdn``, ``retinaface``, ``mtcnn``, ``facemesh``
            or ``brisque``.

    Raises:
        WeightsError: if this installation lacks them.
    """
    folder = WEIGHTS / name
    if not folder.is_dir():
        raise WeightsError(
            f"{folder}: the embedded weights {name!r} are missing from this installation; install fasgen anew or give a path"
        )
    return folder
