"""What lies at addresses: told from paths, read in parts, written whole; and copies of it on this machine."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.cache_folder import cache_home
from fasgen.csv_reader import read_csv
from fasgen.errors import ConfigError
from fasgen.remote import cache, path
from fasgen.remote.address import fault_of, scheme_of
from fasgen.remote.cache import located, origin
from fasgen.remote.path import RemoteError, RemotePath
from tests.s3 import serving

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(params=["memory", "s3"])
def there(request: pytest.FixtureRequest) -> Iterator[RemotePath]:
    """An empty folder at an address."""
    if request.param == "s3":
        with serving("things") as bucket:
            yield RemotePath(bucket) / "below"
    else:
        name = request.node.name.partition("[")[0]
        yield RemotePath(f"memory://{name}")
        fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for forget in (cache_home, cache._fetched):
        forget.cache_clear()
    yield tmp_path / "cache" / "fasgen" / "fetched"
    for forget in (cache_home, cache._fetched):
        forget.cache_clear()


@pytest.mark.parametrize("text", ["a", "/a/b", "./s3:/x", "C:/x", "a:b", "12:3/4", "", "x y://z", "a/b://c"])
def test_paths(text: str) -> None:
    assert scheme_of(text) == ""
    with pytest.raises(ValueError, match="is no address"):
        RemotePath(text)


@given(st.text(max_size=40))
def test_what_has_a_scheme_never_becomes_a_folder(rest: str) -> None:
    for text in (f"s3://{rest}", f"https://{rest}", f"zip::s3://{rest}"):
        assert scheme_of(text) in {"s3", "https", "zip"}
        if not fault_of(text):
            assert str(RemotePath(text)) == text.rstrip("/")


def test_a_place_is_a_value() -> None:
    one = RemotePath("s3://b/a.tar/")
    assert pickle.loads(pickle.dumps(one)) == one and hash(one) == hash(RemotePath("s3://b/a.tar"))
    assert (one.name, one.suffix, str(one.parent), str(one / "x")) == ("a.tar", ".tar", "s3://b", "s3://b/a.tar/x")


def test_files_are_listed_read_in_parts_written_whole_and_removed(there: RemotePath, tmp_path: Path) -> None:
    assert not there.exists() and there.files() == []
    (tmp_path / "large").write_bytes(bytes(range(256)) * 8192)
    (there / "a b/ü#?.bin").write(tmp_path / "large")
    (there / "t.csv").write("path;label\nx;live\n".encode("utf-16"))
    found = {one.name: one for one in there.files()}
    assert {name: one.size for name, one in found.items()} == {"a b/ü#?.bin": 1 << 21, "t.csv": 38}
    assert all(one.stamp for one in found.values())
    assert (there / "a b/ü#?.bin").read(255, 258) == b"\xff\x00\x01" and (there / "t.csv").file() == found["t.csv"]
    with (there / "a b/ü#?.bin").open("rb") as stream:
        stream.seek(-2, 2)
        assert stream.read() == b"\xfe\xff" and stream.seek(3) == 3 and stream.read(1) == b"\x03"
    assert list(read_csv(there / "t.csv", ("path",))) == [{"path": "x", "label": "live"}]
    (there / "t.csv").write(b"other")
    assert (there / "t.csv").file().stamp != found["t.csv"].stamp
    assert there.is_dir() and not there.is_file() and (there / "t.csv").is_file()
    (there / "t.csv").remove()
    (there / "t.csv").remove()
    assert [one.name for one in there.files()] == ["a b/ü#?.bin"]
    for ask in (lambda: (there / "t.csv").read(), lambda: (there / "t.csv").file(), lambda: (there / "t.csv").open("rb")):
        with pytest.raises(FileNotFoundError):
            ask()


def test_weights_are_fetched_once_for_each_state_and_keep_their_address(there: RemotePath, home: Path) -> None:
    for name, data in (("net/config.json", b"{}"), ("net/model.safetensors", b"one"), ("net/.hidden", b"x")):
        (there / name).write(data)
    folder = located(str(there / "net"))
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert origin(folder / "config.json") == f"{there}/net/config.json" and origin(folder) == f"{there}/net"
    assert (located(origin(folder / "config.json"))).read_bytes() == b"{}"
    marked = folder / "config.json"
    marked.write_bytes(b"marked")
    cache._fetched.cache_clear()
    assert located(str(there / "net")) == folder and marked.read_bytes() == b"marked"
    (there / "net/model.safetensors").write(b"two!")
    cache._fetched.cache_clear()
    other = located(str(there / "net"))
    assert other != folder and (other / "model.safetensors").read_bytes() == b"two!"
    assert (folder / "model.safetensors").read_bytes() == b"one"
    with pytest.raises(RemoteError, match="nothing is there"):
        located(str(there / "nowhere"))
    assert not [file for file in home.iterdir() if file.name.startswith(".tmp-")]
    assert located("plain/path") == Path("plain/path") and origin(Path("plain/path")) == "plain/path"


def test_errors_name_the_address_and_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shaky:
        left = 2

        def invalidate_cache(self) -> None:
            pass

        def cat_file(self, path: str, **_: Any) -> bytes:
            Shaky.left -= 1
            if Shaky.left >= 0:
                raise OSError("connection lost")
            return b"there"

    monkeypatch.setattr(path, "_PAUSE", 0.0)
    monkeypatch.setattr(path, "_driver", lambda address: (Shaky(), address))
    assert RemotePath("s3://b/x").read() == b"there"
    Shaky.left = 9
    with pytest.raises(RemoteError, match=r"s3://b/x: connection lost: mend the address"):
        RemotePath("s3://b/x").read()


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(RemoteError, match=r"nosuch:// cannot be opened: .*fasgen\[remote\]"):
        RemotePath("nosuch://b/x").exists()
    # None in the table of modules makes an import fail.
    code = "import sys; sys.modules['fsspec'] = sys.modules['fsspec.core'] = None\n"
    code += "from fasgen.remote.path import RemotePath\nRemotePath('s3://b/x').exists()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 's3:// needs fsspec: pip install "fasgen[remote]"' in done.stderr


def test_options_that_want_a_folder_refuse_addresses() -> None:
    from fasgen.config import place

    with pytest.raises(ConfigError, match="a path is wanted"):
        place("s3://b/x", "--out")
