"""Nothing that a file says is executed, and no name in it reaches beyond its folder."""

from __future__ import annotations

import ast
import gzip
import io
import tarfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml

import fasgen
from fasgen.audit.verify import verify
from fasgen.config import load
from fasgen.errors import ConfigError, FasgenError, SourceError, StoreError
from fasgen.manifests.added_file import read_added
from fasgen.manifests.plan_file import latest
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.tar import TarReader
from fasgen.manifests.tombstones import read_tombstones
from fasgen.manifests.unit_reader import UnitReader
from fasgen.reader import FasDataset, ShardError
from fasgen.sources.adapters.written import read_table
from fasgen.sources.config import Limits
from fasgen.sources.contained.npz import Npz
from fasgen.sources.failure import SampleError
from tests.audit.stores import make_store
from tests.reader.conftest import members, write_shard

PACKAGE = Path(fasgen.__file__).parent

FORBIDDEN = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "joblib.load",
    "marshal.loads",
    "shelve.open",
    "yaml.unsafe_load",
    "yaml.full_load",
    "shutil.unpack_archive",
    "yaml.load_all",
    "yaml.unsafe_load_all",
    "yaml.full_load_all",
    "dill.load",
    "cloudpickle.load",
    "cloudpickle.loads",
    "runpy.run_path",
}
"""Calls by which a file could run code or write beyond its folder."""


YAML = {"config/document.py", "sources/adapters/written.py"}
"""The files that read YAML, each with a loader of its own that makes plain values and follows no aliases."""


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                yield path.relative_to(PACKAGE).as_posix(), ast.unparse(node.func), node


def argument(call: ast.Call, name: str) -> object:
    found = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return found.value if isinstance(found, ast.Constant) else ast.unparse(found) if found is not None else None


def test_no_call_runs_what_a_file_holds() -> None:
    # Archives are read member by member; nothing is ever unpacked.
    unpacks = (".extractall", ".extract", ".unpack_archive")
    found = [f"{file}: {name}" for file, name, _ in calls() if name in FORBIDDEN or name.endswith(unpacks)]
    assert not found


def test_json_of_stores_is_read_by_the_one_reader() -> None:
    rooms = ("audit/", "commands/", "manifests/", "reader/", "selection/", "seen.py")
    found = {file: ast.unparse(call) for file, name, call in calls() if name == "json.loads" and file.startswith(rooms)}
    assert found == {"manifests/plan_file.py": "json.loads(canonical_json(dict(plan)))"}


def test_every_loader_is_told_to_be_safe() -> None:
    seen = set()
    for file, name, call in calls():
        if name == "torch.load":
            assert argument(call, "weights_only") is True, file
        elif name in {"np.load", "numpy.load"}:
            assert argument(call, "allow_pickle") in {False, None}, f"{file}: its default is False"
        elif name.endswith(("format.read_array", "format.write_array")):
            assert argument(call, "allow_pickle") is False, file
        elif name == "yaml.load":
            assert argument(call, "Loader") == "_Loader" and file in YAML, (
                f"{file}: read YAML by config/document.py or its like"
            )
        elif name == "tarfile.open":
            # Uncompressed only, so that a small file stays small.
            assert argument(call, "mode") == "r:", f"{file}: {ast.unparse(call)}"
        elif name.startswith("subprocess."):
            assert argument(call, "shell") is None, file
        else:
            continue
        seen.add(name)
    assert {"torch.load", "yaml.load", "tarfile.open"} <= seen


@pytest.mark.parametrize("file", sorted(YAML))
def test_loaders_of_yaml_derive_from_safe_ones(file: str) -> None:
    loader = import_module(f"fasgen.{file.removesuffix('.py').replace('/', '.')}")._Loader
    assert issubclass(loader, yaml.SafeLoader | yaml.BaseLoader)
    assert not issubclass(loader, yaml.FullLoader | yaml.UnsafeLoader)
    # Nothing is made but by the constructors of plain values.
    assert not loader.yaml_multi_constructors
    plain = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "binary", "timestamp", "omap", "pairs")}
    plain |= {f"tag:yaml.org,2002:{name}" for name in ("set", "str", "seq", "map")} | {None}
    assert loader.yaml_constructors.keys() <= plain


@pytest.mark.parametrize(
    "text", ["name: !!python/object/apply:os.system ['touch {proof}']", "name: &a [x]\nlayout: *a", "name: &a [*a]"]
)
def test_an_adapter_builds_no_objects_and_follows_no_aliases(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("{proof}", str(tmp_path / "proof")))
    with pytest.raises(SourceError):
        read_table(path)
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    "text",
    [
        "seed: !!python/object/apply:os.system ['touch {proof}']",
        "? !!python/name:os.system\n: 1",
        "seed: !!python/object/new:subprocess.Popen [[touch, '{proof}']]",
        "a: &a [1, 1]\nb: *a",
    ],
)
def test_yaml_builds_no_objects_and_follows_no_aliases(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fasgen.yaml"
    path.write_text(text.replace("{proof}", str(tmp_path / "proof")))
    with pytest.raises(ConfigError):
        load(path)
    assert not (tmp_path / "proof").exists()


def test_a_few_lines_cannot_stand_for_gigabytes(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    began = time.process_time()
    with pytest.raises(ConfigError, match="aliases"):
        load(tmp_path / "bomb.yaml")
    assert time.process_time() - began < 20


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("text", [f"sources: {DEEP}", "{a: " * 9000 + "1" + "}" * 9000, "seed: " + "9" * 5000])
def test_yaml_that_costs_more_than_it_says_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "deep.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"line 1, column \d+: not valid YAML: .*(deep in each other|5000 digits)"):
        load(tmp_path / "deep.yaml")
    with pytest.raises(ConfigError):
        load(None, [text.replace(": ", "=", 1)] if text[0] == "s" else [f"sources={text}"])


def test_json_that_costs_more_than_it_says_is_damage(tmp_path: Path) -> None:
    """In each file of a store: named, or passed over, and never a stack that overflows."""
    store = make_store(tmp_path / "store")
    found = sorted(path for path in store.rglob("*.json*") if path.suffix in (".json", ".jsonl"))
    found += [
        store / name for name in ("believed.json", "added/aa.json", f"retracted/{'0' * 64}.json", f"seen/{'ab' * 32}.json")
    ]
    assert len(found) > 8
    for path in found:
        before = path.read_bytes() if path.exists() else None
        path.parent.mkdir(exist_ok=True)
        path.write_text(DEEP)
        for look in (verify, lambda at: list(latest(at)), read_added, read_tombstones):
            with suppress(FasgenError):
                look(store)
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


def test_an_archive_is_believed_by_its_header_before_memory_is_taken(tmp_path: Path) -> None:
    def npy(shape: tuple[int, ...], kind: str, data: bytes = b"") -> bytes:
        head = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
        head += b" " * (63 - (len(head) + 10) % 64) + b"\n"
        return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data

    bad = {
        "large": (npy((100_000, 100_000, 3), "|u1"), "too_large: an array"),
        "wide": (npy((20_000, 20_000, 3), "|u1"), "too_large: 20000 x 20000 px"),
        "fewer": (npy((64, 64, 3), "|u1", b"x"), "more numbers, or fewer"),
        "text": (npy((64, 64, 3), "|S100000000"), "no type of levels"),
        "version": (b"\x93NUMPY\x09\x00" + b" " * 64, "version"),
        "source": (b"\x93NUMPY\x02\x00" + (9000).to_bytes(4, "little") + b"(" * 9000, "npz: "),
    }
    for name, (data, said) in bad.items():
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.npy", data)
        with pytest.raises(SampleError, match=said):
            Npz(Limits()).read(tmp_path, f"{name}.npz", "rgb", None)


NAMES = ("../../escaped.png", "/escaped.png", "a/../../escaped.png", "..")


@pytest.mark.parametrize("name", NAMES)
def test_members_that_climb_are_bytes_like_any_others(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with tarfile.open(inner / "00000.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.size = 4
        tar.addfile(info, io.BytesIO(b"evil"))
    before = sorted(tmp_path.rglob("*"))
    with TarReader(inner / "00000.tar") as reader:
        assert [reader.read(each) for each in reader.members] == [b"evil"]
    write_shard(inner / "fas-000000.tar", [(name, members(1))])
    with suppress(ShardError):
        list(FasDataset(inner, on_error="skip"))
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "fas-000000.tar") == before


@pytest.mark.parametrize("sample_id", ["../up", "a/b", "/root", "a.b", "", "a\0b"])
def test_sample_ids_that_climb_are_refused(tmp_path: Path, sample_id: str) -> None:
    with (
        UnitWriter(tmp_path, 0, columns=(), arrays={}, plan_hash="p", weights="") as writer,
        pytest.raises(StoreError, match="holds a dot, a slash or a NUL"),
    ):
        writer.ok(Row(sample_id, 0, 0), files={"bin": b"x"})


def test_a_cue_that_holds_objects_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path(str(tmp_path / "proof")).touch, ())  # type: ignore[return-value]

    stream = io.BytesIO()
    np.save(stream, np.array([Evil()], dtype=object), allow_pickle=True)
    files = members(1) | {"residual.npy": stream.getvalue()}
    write_shard(tmp_path / "fas-000000.tar", [("0" * 16, files)])
    with pytest.raises(ShardError, match="residual"):
        list(FasDataset(tmp_path))
    assert not (tmp_path / "proof").exists()


def test_a_packed_cue_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(1 << 20)) * 300
    files = {"png": members(1)["png"], "residual.npy.gz": bomb, "json": members(1)["json"]}
    write_shard(tmp_path / "fas-000000.tar", [("0" * 16, files)])
    with pytest.raises(ShardError, match="holds more than"):
        list(FasDataset(tmp_path))


def test_a_manifest_that_names_a_tar_elsewhere_is_not_believed(tmp_path: Path) -> None:
    """The reader takes the tar's name from the stage, not from what a file says."""
    with UnitWriter(tmp_path / "store", 0, columns=(), arrays={}, plan_hash="p", weights="") as writer:
        writer.ok(Row("a" * 16, 0, 0), files={"bin": b"mine"})
        writer.commit(1)
    with UnitReader(tmp_path / "store", 0, "../{unit:05d}.tar") as reader, pytest.raises(StoreError, match="cannot be read"):
        reader.file(0, "bin")
