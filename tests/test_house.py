"""The plan of the house: who may import whom. CONTRIBUTING.md says why."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import fasgen
from fasgen.stages import STAGES, specs

PACKAGE = Path(fasgen.__file__).resolve().parent

MAY_IMPORT = {
    "errors": set(),
    "records": set(),
    "seeds": set(),
    "seen": {"errors", "json_reader"},
    "cache_folder": set(),
    "csv_reader": set(),
    "joblib_reader": set(),
    "json_reader": set(),
    "marks": set(),
    "remote": {"cache_folder", "errors"},
    "stages": {"cache_folder", "errors", "marks", "records", "remote", "seeds", "selection", "training"},
    "selection": {"errors", "json_reader", "manifests"},
    "training": {"errors", "manifests", "records", "seen", "selection"},
    "downstream": {"csv_reader", "errors", "reader", "seeds", "seen", "selection", "training"},
    "sources": {"csv_reader", "errors", "joblib_reader", "records", "remote", "stages"},
    "manifests": {"errors", "json_reader", "marks", "records", "seeds", "seen"},
    "audit": {"csv_reader", "errors", "json_reader", "manifests", "records", "remote", "seeds", "seen", "selection", "sources"},
    "quality": {"audit", "downstream", "errors", "manifests", "selection"},
    "reader": {"errors", "json_reader", "seeds"},
    "config": {"downstream", "errors", "remote", "sources", "stages", "training"},
    "pipeline": {
        "cache_folder",
        "config",
        "errors",
        "json_reader",
        "manifests",
        "records",
        "remote",
        "seeds",
        "selection",
        "sources",
        "stages",
    },
    "chains": {
        *(
            "audit",
            "config",
            "downstream",
            "errors",
            "json_reader",
            "manifests",
            "remote",
            "seen",
            "selection",
            "sources",
            "stages",
        ),
        "training",
    },
    "commands": {
        *("audit", "chains", "config", "downstream", "errors", "json_reader", "manifests", "pipeline", "quality", "remote"),
        *("seen", "selection", "sources", "stages", "training"),
    },
    "api": {"audit", "commands", "config", "errors", "manifests", "pipeline", "records", "seeds", "stages"},
    "cli": {"commands", "errors"},
}
"""Room to the rooms that it may import. What is not listed may not be imported; a new room needs a line here."""

LIGHT_ROOMS = {"cli", "commands", "errors", "records"}
"""Rooms that ``fasgen --help`` or a first error passes through."""


class Import(NamedTuple):
    """One import: the file that has it, the full name, whether it runs on import of the file, whether only for types."""

    file: str
    name: str
    on_import: bool
    for_types: bool

    @property
    def module(self) -> str:
        """The module that the file is."""
        return ".".join(Path(self.file).with_suffix("").parts).removesuffix(".__init__")

    @property
    def room(self) -> str:
        """The room of the file."""
        return Path(self.file).parts[1].removesuffix(".py")

    @property
    def target(self) -> str:
        """The room of what is imported; empty outside the package and for the package itself."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "fasgen" and len(parts) > 1 else ""


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def walk(node: ast.AST, on_import: bool = True, for_types: bool = False) -> Iterator[tuple[ast.AST, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        inside = on_import and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        types = for_types or is_type_checking(child)
        yield child, on_import, for_types
        yield from walk(child, inside and not types, types)


def imports() -> list[Import]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE.parent).as_posix()
        for node, on_import, for_types in walk(ast.parse(path.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative imports hide which room they reach into"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [Import(file, name, on_import, for_types) for name in names]
    return found


ALL = imports()


def test_every_room_has_its_line() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert rooms - {"__init__", "__main__", "presets"} == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_what_it_may(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room, "", "__version__", "presets"}
    wrong = [f"{one.file} imports {one.name}" for one in ALL if one.room == room and one.target not in allowed]
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside of functions count as well: one that is late for a circle's sake hides it."""
    modules = {one.module for one in ALL}
    above: dict[str, set[str]] = {module: set() for module in modules}
    for one in ALL:
        target = one.name if one.name in modules else one.name.rpartition(".")[0]
        if target in modules and not one.for_types:
            above[one.module].add(target)
    # Fails with the circle in words, where there is one.
    TopologicalSorter(above).prepare()


def test_a_public_name_has_one_home() -> None:
    """It is imported from the module that defines it. Packages whose ``__init__`` is what others import offer more."""
    defined: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if path.name != "__init__.py":
            nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
            own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
            own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            defined[".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)] = own
    ours = [(one.file, one.name.rpartition(".")) for one in ALL]
    wrong = [
        f"{file} imports {name} from {module}" for file, (module, _, name) in ours if name not in defined.get(module, {name})
    ]
    assert not wrong


def test_only_the_files_of_the_ray_engine_import_ray() -> None:
    found = {one.file for one in ALL if one.name.split(".")[0] == "ray"}
    assert found == {f"fasgen/pipeline/ray_{name}.py" for name in ("connection", "engine", "rehearsal")}


def test_only_what_trains_imports_the_training_loop() -> None:
    inside = [one for one in ALL if one.room == "stages" and one.target in ("selection", "training")]
    assert inside
    for one in inside:
        assert "train" in Path(one.file).name, f"{one.file} imports {one.name}"


def test_no_room_but_the_stages_names_a_stage_or_a_cue() -> None:
    """What a stage is, its specification says; a store says it in ``plan.json``. Trainings have names of their own."""
    names = set(STAGES) | {cue.name for spec in specs().values() for cue in spec.cues}
    names -= {"pack", "score", "screen"}  # words, too
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        if file.startswith("stages/") or file == "training/config.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and node.value in names:
                found.append(f"{file}:{node.lineno} names {node.value}")
    for path in sorted(PACKAGE.rglob("*.js")):
        found += [f"{path.name} names {name}" for name in names if re.search(rf"""["'`]{name}["'`]""", path.read_text("utf-8"))]
    assert not found


def test_sources_know_of_the_stages_nothing_but_what_an_image_is() -> None:
    assert {one.name for one in ALL if one.room == "sources" and one.target == "stages"} == {"fasgen.stages.stage.RGB"}


def test_the_configuration_knows_of_the_trainers_their_settings_alone() -> None:
    inside = {one.name for one in ALL if one.room == "config" and one.target == "downstream"}
    assert inside and all(name.startswith("fasgen.downstream.config.") for name in inside)


def test_the_trainers_know_packed_shards_and_the_loop_alone() -> None:
    inside = {one.name.rpartition(".")[0] for one in ALL if one.room == "downstream" and one.target == "training"}
    assert inside == {"fasgen.training.config", "fasgen.training.loop"}


def test_the_pipeline_sees_the_configuration_by_its_type_alone() -> None:
    assert all(one.for_types for one in ALL if one.room == "pipeline" and one.target == "config")


def test_what_runs_before_a_command_imports_click_and_the_standard_library() -> None:
    allowed = {*sys.stdlib_module_names, "click", "fasgen"}
    for one in ALL:
        if one.room in LIGHT_ROOMS and one.on_import:
            assert one.name.split(".")[0] in allowed, f"{one.file} imports {one.name}"


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a new interpreter has after running ``code``."""
    script = f"{code}\nimport sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "never"),
    [
        ("import fasgen; dir(fasgen)", {"click", "torch", "ray", "pyarrow", "zarr", "cv2", "duckdb", "pydantic", "numpy"}),
        ("import fasgen.cli", {"torch", "ray", "pyarrow", "zarr", "cv2", "duckdb", "pydantic", "numpy", "yaml", "rich"}),
        (
            "from fasgen.stages import specs; from fasgen.training.config import trainings; specs(); trainings()",
            {"torch", "ray", "cv2", "diffusers", "pyarrow", "zarr", "duckdb", "onnx"},
        ),
        ("import fasgen.config; fasgen.config.root_model()", {"torch", "ray", "cv2", "diffusers", "pyarrow", "zarr", "duckdb"}),
        ("import fasgen.stages.lgsc.stage", {"diffusers", "pyarrow", "ray", "zarr", "duckdb", "onnx"}),
        ("import fasgen.stages.stdn.stage", {"diffusers", "pyarrow", "ray", "zarr", "duckdb", "onnx"}),
        ("import fasgen.reader", {"ray", "pyarrow", "zarr", "duckdb", "pydantic", "diffusers", "webdataset"}),
    ],
)
def test_what_is_light_stays_light(code: str, never: set[str]) -> None:
    assert not never & loaded_by(code)
