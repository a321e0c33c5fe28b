"""Where on this machine lies what can be made again, or fetched again."""

from __future__ import annotations

import functools
import os
import tempfile
import warnings
from pathlib import Path


@functools.cache
def cache_home() -> Path:
    """fasgen's folder for what can be made again: ``$XDG_CACHE_HOME/fasgen`` or ``~/.cache/fasgen``; made if it is missing.

    Where it cannot be written, a folder for temporary files that belongs to this user alone, which is said once.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        home = (Path(given) if Path(given).is_absolute() else Path.home() / ".cache") / "fasgen"
        _ours(home)
    except (OSError, RuntimeError) as error:
        other = Path(tempfile.gettempdir()) / f"fasgen-{os.getuid()}"
        try:
            _ours(other)
        except OSError:
            # Somebody else's folder has the name.
            other = Path(tempfile.mkdtemp(prefix="fasgen-"))
        warnings.warn(f"the cache folder cannot be used ({error}); {other} is, set XDG_CACHE_HOME to keep one", stacklevel=2)
        return other
    return home


def _ours(folder: Path) -> None:
    """Make ``folder``, and see that only this user writes there: code is loaded from it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    with tempfile.TemporaryFile(dir=folder):
        pass
