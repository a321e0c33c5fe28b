"""Are the libraries there that everything else stands on? Asked before any of them is needed, and imports none by itself."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from fasgen import __version__

LIBRARIES = {
    "torch": "torch",
    "diffusers": "diffusers",
    "ray": "ray",
    "numpy": "numpy",
    "pyarrow": "pyarrow",
    "numcodecs": "numcodecs",
    "webdataset": "webdataset",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "simplejpeg": "simplejpeg",
    "safetensors": "safetensors",
    "duckdb": "duckdb",
    "pydantic": "pydantic",
    "yaml": "PyYAML",
    "rich": "rich",
}
"""What fasgen imports, with the names under which pip knows it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of `fasgen doctor`.

    Attributes:
        level: ``ok``, ``warn`` (it will work, but) or ``fail`` (it will not).
        what: what was looked at.
        found: what was found.
        advice: what to do; empty where nothing needs doing.
    """

    level: Literal["ok", "warn", "fail"]
    what: str
    found: str
    advice: str = ""


def libraries() -> Iterator[Check]:
    """Python and fasgen, the libraries that import, and a line for each that does not."""
    yield Check("ok", "fasgen", f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    found: list[str] = []
    for module, package in LIBRARIES.items():
        try:
            loaded = import_module(module)
        except ModuleNotFoundError as error:
            if error.name and module.startswith(error.name):
                yield Check("fail", f"library {package}", "is not installed", f"pip install {package}")
            else:
                yield Check(
                    "fail", f"library {package}", f"needs {error.name}, which is not installed", f"pip install {error.name}"
                )
        except Exception as error:
            # A library that is there but broken may raise anything while it is imported.
            yield Check(
                "fail", f"library {package}", f"does not import: {_line(error)}", f"pip install --force-reinstall {package}"
            )
        else:
            found.append(f"{package} {_version(package, loaded)}")
    yield Check("ok", "libraries", ", ".join(found))


def _version(package: str, loaded: object) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        # The same module may come from another package, as OpenCV does.
        return str(getattr(loaded, "__version__", "?"))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
