"""What pyproject.toml says of Python and of dependencies, tried in empty environments: ``make bounds``.

    python -m tests.bounds                                    lowest and newest, on every Python that is declared and found
    python -m tests.bounds lowest --torch 2.13.0 --tests few  one leg, as CI runs it

A leg makes an environment, installs torch, then fasgen from a wheel or from the source distribution by pip alone, and outside
of the checkout runs the command line, ``fasgen doctor``, all stages on a few portraits, ``fasgen verify`` and the reader. The
lowest leg installs every direct dependency at its bound. Then some of the tests run in that environment.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
EXTRAS = ("hdf5", "onnx")
TOOLS = ("hypothesis", "imageio-ffmpeg", "joblib", "pytest", "zarr")
"""What the tests import besides."""
FACES = 2
CONFIG = """
store: store
sources: [{name: mine, path: faces, label: live}]
defake: {calls: 4, draws: 1, batch: 2}
synth: {batch: 2}
lgsc: {enabled: true}
stdn: {enabled: true}
"""

TESTS = {
    "none": (),
    # Where the libraries' own interfaces are used most: arrays, tables, pixels, configurations, shards.
    "few": ("manifests/test_arrays.py", "manifests/test_schema.py", "sources/test_image.py", "reader", "audit/test_query.py"),
    "some": ("manifests", "sources", "reader", "audit/test_query.py", "test_config.py", "stages/align", "stages/score",
             "stages/identify/test_load.py", "stages/defake", "pipeline/test_local.py", "pipeline/test_ray.py"),
}  # fmt: skip
"""Tests of a leg, below ``tests``."""

UNREACHABLE = ("No matching distribution found", "NewConnectionError", "Temporary failure in name resolution", "Read timed out")
"""What pip says where the index has not what is asked for, or cannot be reached: then nothing is known of the bound."""

READS = """
import sys
from fasgen.reader import FasDataset, SampleDecoder
samples = list(FasDataset(sys.argv[1], SampleDecoder()))
assert samples and all(sample["image"].shape[0] == 3 for sample in samples), samples
"""


def declared() -> Mapping[str, Sequence[str]]:
    """Requirements by extra, those without one under an empty name."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    return {"": project["dependencies"], **{name: project["optional-dependencies"][name] for name in EXTRAS}}


def lowest() -> dict[str, str]:
    """Lowest version of each direct dependency, by its name."""
    return dict(requirement.split(">=") for requirements in declared().values() for requirement in requirements)


def pythons() -> list[Path]:
    """Interpreters on the path of the minor versions that the classifiers name."""
    text = (CHECKOUT / "pyproject.toml").read_text("utf-8")
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)
    here = []
    for name in named:
        path = shutil.which(f"python{name}")
        # A version manager's stand-in for a version that is not switched on is found, too, and fails.
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            here.append(Path(path))
        else:
            print(f"python{name} is not here: not tried", flush=True)
    return here


def build(folder: Path) -> dict[str, Path]:
    """The source distribution, and the wheel that is built from it."""
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(CHECKOUT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"sdist": next(folder.glob("*.tar.gz")), "wheel": next(folder.glob("*.whl"))}


class NotTriedError(Exception):
    """What a leg installs cannot be had here."""


class Leg:
    """One environment.

    Args:
        python: interpreter.
        bound: ``lowest`` or ``newest``.
        artefact: what is installed.
        torch: version of torch; None: the bound's own.
        index: where torch comes from; None: the usual index.
    """

    def __init__(self, python: Path, bound: str, artefact: Path, torch: str | None, index: str | None) -> None:
        self.python, self.bound, self.artefact, self.torch, self.index = python, bound, artefact, torch, index

    def run(self, folder: Path, tests: Sequence[str]) -> None:
        """Install, use and test it below ``folder``.

        Raises:
            subprocess.CalledProcessError: what failed.
            NotTriedError: no index that is reached from here has what it installs.
        """
        subprocess.run([str(self.python), "-m", "venv", str(folder / "venv")], check=True)
        inside = folder / "venv" / "bin"
        versions = lowest() if self.bound == "lowest" else {}
        if self.torch:
            versions["torch"] = self.torch
        pins = folder / "pins.txt"
        pins.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()))
        # Numbers of threads are the caller's; everything else that could reach the checkout is not.
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FASGEN"))}

        def call(*command: str, cwd: Path = folder) -> None:
            done = subprocess.run(command, cwd=cwd, env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                print(done.stdout, flush=True)
                if "install" in command and any(words in done.stdout for words in UNREACHABLE):
                    raise NotTriedError(done.stdout.strip().splitlines()[-1])
                done.check_returncode()

        pip = (str(inside / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(pins))
        call(*pip, *(("--index-url", self.index) if self.index else ()), "torch")
        call(*pip, f"fasgen[{','.join(EXTRAS)}] @ {self.artefact.as_uri()}")
        call(str(inside / "python"), "-m", "pip", "check")

        portraits = sorted((CHECKOUT / "examples" / "portraits").glob("*.jpg"))[:FACES]
        (folder / "faces" / "live").mkdir(parents=True)
        for path in portraits:
            shutil.copy(path, folder / "faces" / "live")
        (folder / "fasgen.yaml").write_text(CONFIG)
        fasgen = str(inside / "fasgen")
        call(fasgen, "--help")
        call(fasgen, "doctor", "--gpus", "0")
        call(fasgen, "run", "stage=all", "--gpus", "0", "--cpus", "1")
        call(fasgen, "verify")
        call(str(inside / "python"), "-c", READS, str(next((folder / "store").glob("pack-*"))))
        if tests:
            call(*pip, *TOOLS)
            chosen = [f"tests/{name}" for name in tests]
            call(str(inside / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, cwd=CHECKOUT)


def main() -> int:
    """Try the legs that were asked for; 1 if one failed. One whose packages cannot be had is named and is no failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bounds", nargs="*", metavar="lowest|newest", help="else both")
    parser.add_argument("--python", action="append", type=Path, help="interpreter, any number; else all that are found")
    parser.add_argument("--artefact", choices=("wheel", "sdist"), default="wheel")
    parser.add_argument("--torch", help="version of torch in every leg")
    parser.add_argument("--torch-index", help="package index for torch alone")
    parser.add_argument("--tests", choices=TESTS, default="some")
    chosen = parser.parse_args()
    if unknown := sorted({*chosen.bounds} - {"lowest", "newest"}):
        parser.error(f"there is no leg {unknown[0]}: take lowest, newest or nothing for both")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="fasgen-bounds-") as temporary:
        built = build(Path(temporary))
        for python in chosen.python or pythons():
            for bound in chosen.bounds or ("lowest", "newest"):
                start = time.monotonic()
                with tempfile.TemporaryDirectory(dir=temporary) as folder:
                    leg = Leg(python, bound, built[chosen.artefact], chosen.torch, chosen.torch_index or None)
                    try:
                        leg.run(Path(folder), TESTS[chosen.tests])
                        outcome = "ok"
                    except NotTriedError as error:
                        outcome = f"NOT TRIED, as its packages cannot be had here ({error}),"
                    except subprocess.CalledProcessError as error:
                        outcome, failed = f"FAILED: {' '.join(map(str, error.cmd[:6]))}", failed + 1
                print(f"{python} {bound} {chosen.artefact}: {outcome} after {time.monotonic() - start:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
