"""docker/Dockerfile, as far as it can be checked without Docker: what is pinned, what is cached, and who runs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parent.parent
DOCKERFILE = (CHECKOUT / "docker" / "Dockerfile").read_text("utf-8")
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, ``FROM`` first; what stands before it is in none."""
    text = "\n".join(line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#"))
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    found: list[list[tuple[str, str]]] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, re.sub(r"\s+", " ", rest)))
    return found


def told(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for one, rest in stage if one == word]


def test_the_base_is_one_patch_release_and_slim() -> None:
    (version,) = re.findall(r"^ARG PYTHON=(.+)$", DOCKERFILE, re.M)
    assert re.fullmatch(r"3\.\d+\.\d+-slim-\w+", version)
    assert [rest.split()[0] for stage in stages() for rest in told(stage, "FROM")] == ["python:${PYTHON}"] * 2


def test_every_package_has_the_version_of_the_constraints_and_no_code_comes_before_it() -> None:
    build, _ = stages()
    assert any("PIP_CONSTRAINT=/src/constraints.txt" in rest for rest in told(build, "ENV"))
    installs = [rest for rest in told(build, "RUN") if "pip install" in rest]
    assert len(installs) == 3 and all(rest.startswith("--mount=type=cache,target=/root/.cache/pip ") for rest in installs)
    order = [rest.split()[0] if word == "COPY" else "pip" for word, rest in build if word == "COPY" or rest in installs]
    assert order == ["constraints.txt", "pip", "pyproject.toml", "pip", "README.md", "fasgen", "pip"]
    assert "--no-deps ." in installs[-1]


def test_what_is_asked_for_is_what_the_project_declares() -> None:
    (asking,) = re.findall(r'python -c "(import tomllib.+?)" > needed', "\n".join(told(stages()[0], "RUN")))
    done = subprocess.run([sys.executable, "-c", asking], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    extras = PROJECT["optional-dependencies"]
    assert done.stdout.split() == PROJECT["dependencies"] + extras["hdf5"] + extras["onnx"] + extras["remote"]
    pinned = {line.partition("==")[0].lower() for line in (CHECKOUT / "constraints.txt").read_text("utf-8").splitlines()}
    assert {re.split(r"[>=\[]", one)[0].lower() for one in done.stdout.split()} <= pinned


def test_the_image_has_what_was_installed_and_nothing_that_it_was_built_with() -> None:
    _, last = stages()
    assert told(last, "COPY") == ["--from=installed /opt/fasgen /opt/fasgen"]
    (run,) = told(last, "RUN")
    assert "pip" not in run and "--no-install-recommends" in run and "rm -rf /var/lib/apt/lists/*" in run
    (labels,) = told(last, "LABEL")
    assert f'licenses="{PROJECT["license"]}"' in labels


def test_nobody_runs_as_root() -> None:
    _, last = stages()
    (user,) = told(last, "USER")
    assert user == "fasgen" and "useradd --create-home --uid 1000 fasgen" in told(last, "RUN")[0]
    assert [word for word, _ in last].index("USER") > max(
        number for number, (word, _) in enumerate(last) if word in {"RUN", "COPY"}
    )
    assert told(last, "ENTRYPOINT") == ['["fasgen"]'] and "/cache" in "".join(told(last, "ENV"))


def test_the_context_is_what_is_copied() -> None:
    ignore = (CHECKOUT / ".dockerignore").read_text("utf-8").split()
    assert ignore[0] == "*", "what is not named does not reach the daemon"
    build, _ = stages()
    copied = {name for rest in told(build, "COPY") for name in rest.split()[:-1]}
    assert {f"!{name}" for name in copied} == {line for line in ignore if line.startswith("!")}
    assert all((CHECKOUT / name).exists() for name in copied)


def test_the_example_of_the_head_reads_and_writes_below_what_is_mounted() -> None:
    (config,) = re.findall(r"`run --config (\S+)`", DOCKERFILE)
    path = CHECKOUT / config
    found = yaml.safe_load(path.read_text("utf-8"))
    assert (path.parent / found["store"]).resolve() == CHECKOUT / "out" / "store"
    assert all((path.parent / source["path"]).resolve().is_relative_to(CHECKOUT) for source in found["sources"])
    assert {source["label"] for source in found["sources"]} == {"live"}
