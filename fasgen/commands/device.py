"""The device that ``--device`` names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def torch_device(name: str) -> torch.device:
    """A device by its name; ``auto`` is a GPU where there is one, under a launcher the rank's own.

    Raises:
        ResourceError: it cannot be used.
    """
    import torch

    from fasgen.errors import ResourceError

    try:
        own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        place = torch.device((own if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ResourceError(f"--device {name}: cannot be used: {str(error).splitlines()[0]}") from None
    return place
