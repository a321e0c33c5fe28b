"""What is installed: every file of the package, nothing undeclared, and the notices of what others made."""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path

import pytest

import fasgen
from bench.carried import CARRIED, write

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = CHECKOUT / "fasgen"
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
NOTICE = (CHECKOUT / "NOTICE").read_text("utf-8")

MODULES = {"sklearn": "scikit-learn", "cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "PyYAML"}
"""Modules whose distribution has another name."""

WEIGHTS_BYTES = 70_000_000

pytestmark = pytest.mark.skipif(Path(fasgen.__file__).resolve().parent != PACKAGE, reason="fasgen is not the checkout's")


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[>=<! ]", requirement)[0] for requirement in requirements}


def package_files() -> set[str]:
    return {
        path.relative_to(CHECKOUT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel made from it, of the checkout with its weights emptied."""
    pytest.importorskip("setuptools", "77")
    folder = tmp_path_factory.mktemp("built")
    copy, unpacked = folder / "copy", folder / "unpacked"
    left_out = shutil.ignore_patterns(
        ".git", ".venv*", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis", "out", "build", "dist"
    )

    def emptied(source: str, target: str) -> None:
        if source.endswith(".safetensors"):
            Path(target).touch()
        else:
            shutil.copy(source, target)

    shutil.copytree(CHECKOUT, copy, ignore=left_out, copy_function=emptied)
    back_end = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
    for kind, where in (("build_sdist", copy), ("build_wheel", unpacked)):
        done = subprocess.run([sys.executable, "-c", back_end, kind, str(folder)], cwd=where, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if kind == "build_sdist":
            with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
                archive.extractall(folder, filter="data")
            next(folder.glob("fasgen-*/")).rename(unpacked)
    return folder


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        inside = set(wheel.namelist())
        info = next(name for name in inside if name.endswith("/METADATA")).rpartition("/")[0]
        assert {name for name in inside if not name.startswith(info)} == package_files()
        assert {f"{info}/licenses/{name}" for name in ("LICENSE", "NOTICE")} <= inside
        assert "fasgen = fasgen.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
        said = message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert said["Version"] == fasgen.__version__
    assert said["License-Expression"] == PROJECT["license"]
    assert {"hdf5", "onnx", "remote"} <= set(said.get_all("Provides-Extra", []))
    assert str(said.get_payload()).startswith("# fasgen")


def test_the_source_distribution_is_whole(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = package_files() | {
        path.relative_to(CHECKOUT).as_posix()
        for room in ("bench", "docs", "docker", "examples", "tests", ".ci")
        for path in (CHECKOUT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".hypothesis" not in path.parts
    }
    assert wanted <= inside
    assert {"Makefile", "constraints.txt", "LICENSE", "NOTICE", "README.md", "pyproject.toml"} <= inside


def imports() -> Iterator[tuple[str, str, bool]]:
    """Imports of neither Python's nor fasgen's: file, top-level module, whether it runs when the file is imported."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        late = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                found = [node.module or ""]
            for name in {name.partition(".")[0] for name in found} - {"fasgen", *sys.stdlib_module_names}:
                yield path.relative_to(PACKAGE).as_posix(), name, id(node) not in late


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    needed, extras = names(PROJECT["dependencies"]), PROJECT["optional-dependencies"]
    optional = {name for extra in extras if extra not in ("dev", "quality") for name in names(extras[extra])} - needed
    found = [(file, MODULES.get(name, name), on_import) for file, name, on_import in imports()]
    used = {name for _, name, _ in found}
    assert needed <= used <= needed | optional
    # What reads ONNX graphs is itself imported late, by what has looked whether the package is there.
    early = {(file, name) for file, name, on_import in found if on_import and name in optional}
    assert early <= {("stages/identify/onnx_graph.py", "onnx")}


def test_every_dependency_has_a_lower_bound_and_a_constraint_above_it() -> None:
    pins = dict(
        line.lower().split("==") for line in (CHECKOUT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    )
    extras = PROJECT["optional-dependencies"]
    for requirement in [*PROJECT["dependencies"], *extras["hdf5"], *extras["onnx"], *extras["remote"], *extras["tsne"]]:
        name, lowest = requirement.split(">=")
        bound, pin = ([int(part) for part in text.split(".")] for text in (lowest, pins[name.lower()]))
        assert pin >= bound, requirement
    assert {name.lower() for name in names(extras["dev"])} - {"fasgen", "setuptools"} <= set(pins)


def test_weights_of_others_stand_in_the_notice_with_their_digests() -> None:
    digests = dict(re.findall(r"^(\w+/\w+\.safetensors)\n +SHA-256 +([0-9a-f]{64})$", NOTICE, re.MULTILINE))
    assert set(digests) == {f"{name}.safetensors" for name in CARRIED}
    for name, digest in digests.items():
        assert hashlib.sha256((PACKAGE / "weights" / name).read_bytes()).hexdigest() == digest


def test_weights_stay_small() -> None:
    assert sum(path.stat().st_size for path in (PACKAGE / "weights").rglob("*") if path.is_file()) <= WEIGHTS_BYTES


@pytest.mark.parametrize(
    ("folder", "needs", "count"),
    [
        ("retinaface", ("retinaface", "onnx"), 1),
        ("mtcnn", ("mtcnn", "lz4"), 1),
        ("brisque", ("brisque",), 1),
        ("facemesh", ("mediapipe", "tflite", "flatbuffers"), 2),
    ],
)
def test_the_carried_weights_are_those_of_the_packages_byte_for_byte(
    tmp_path: Path, folder: str, needs: tuple[str, ...], count: int
) -> None:
    if missing := [name for name in needs if find_spec(name) is None]:
        pytest.skip(f"needs the packages that were converted ({', '.join(missing)}): bench/carried.py says how to install them")
    write(tmp_path, folder)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    assert len(made) == count
    for name, content in made.items():
        assert (PACKAGE / "weights" / name).read_bytes() == content
