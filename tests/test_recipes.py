"""The recipes of docs/clusters.md, as far as they can be checked without the systems that they are for."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

DOCUMENT = Path(__file__).parents[1] / "docs" / "clusters.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)

SBATCH = {"nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "signal", "requeue", "open-mode"}
"""Those of sbatch's options that are meant; none is spelt in another way there."""


def blocks(kind: str, word: str) -> list[str]:
    """The blocks of a kind that have a word."""
    return [text for found, text in BLOCK.findall(DOCUMENT.read_text("utf-8")) if found == kind and word in text]


def document(word: str) -> dict[str, Any]:
    (text,) = blocks("yaml", word)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    kinds = {kind for kind, _ in BLOCK.findall(DOCUMENT.read_text("utf-8")) if kind}
    assert kinds == {"sh", "yaml"} and len(blocks("yaml", "")) == 3


@pytest.mark.parametrize("text", blocks("sh", ""))
def test_scripts_are_bash(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_slurm_is_asked_by_options_that_it_has() -> None:
    (text,) = blocks("sh", "#SBATCH")
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    directives = [line for line in lines if line.startswith("#SBATCH ")]
    # Directives end at the first command.
    assert directives == lines[1 : 1 + len(directives)]
    options = [option for line in directives for option in line.split()[1:]]
    assert {option.removeprefix("--").partition("=")[0] for option in options} == SBATCH
    (signal,) = [option for option in options if option.startswith("--signal=")]
    assert re.fullmatch(r"--signal=B:TERM@\d+", signal), "to the batch script alone"
    (nodes,) = [int(option.partition("=")[2]) for option in options if option.startswith("--nodes=")]
    assert f"--nodes={nodes - 1} --ntasks={nodes - 1}" in text


def test_ray_up_is_of_the_schema_that_ray_carries() -> None:
    import ray

    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text("utf-8"))
    found = document("cluster_name")
    jsonschema.validate(found, schema)
    assert found["head_node_type"] in found["available_node_types"]
    assert found["provider"]["type"] == "aws"
    head, worker = found["available_node_types"]["head"], found["available_node_types"]["worker"]
    assert "InstanceMarketOptions" not in head["node_config"], "the head stays"
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert any("--autoscaling-config" in command for command in found["head_start_ray_commands"])


def test_a_rayjob_has_what_the_operator_requires() -> None:
    found = document("kind: RayJob")
    assert (found["apiVersion"], found["kind"]) == ("ray.io/v1", "RayJob") and found["metadata"]["name"]
    spec = found["spec"]
    cluster = spec["rayClusterSpec"]
    assert set(spec) <= {"entrypoint", "shutdownAfterJobFinishes", "backoffLimit", "rayClusterSpec"}
    assert set(cluster) == {"authOptions", "headGroupSpec", "workerGroupSpecs"}
    assert cluster["authOptions"]["mode"] in {"disabled", "token"}
    head, workers = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert set(head) == {"rayStartParams", "template"}
    pods = [head["template"]["spec"]]
    for group in workers:
        assert set(group) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        pods.append(group["template"]["spec"])
    # Parameters of `ray start` are texts there, and so are quantities.
    assert all(isinstance(value, str) for group in (head, *workers) for value in group["rayStartParams"].values())
    seen = [(pod["containers"][0]["image"], pod["containers"][0]["volumeMounts"], pod["volumes"]) for pod in pods]
    assert all(one == seen[0] for one in seen), "the same fasgen and the same paths on every node"
    for pod in pods:
        (container,) = pod["containers"]
        assert all(isinstance(value, str) for value in container["resources"]["limits"].values())
        assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
        assert pod["terminationGracePeriodSeconds"] >= 600


def test_compose_services_are_the_same_everywhere() -> None:
    found = document("services:")
    assert set(found) == {"services", "secrets"} and set(found["services"]) == {"head", "worker", "driver"}
    known = {
        "image", "entrypoint", "command", "environment", "secrets", "shm_size", "volumes", "depends_on", "restart",
        "stop_grace_period",
    }  # fmt: skip
    for service in found["services"].values():
        assert set(service) <= known
        assert service["volumes"] == found["services"]["head"]["volumes"]
        assert service["image"] == found["services"]["head"]["image"]
        assert set(service["secrets"]) <= set(found["secrets"])
        assert set(service.get("depends_on", ())) <= set(found["services"])
    assert "--head" in found["services"]["head"]["command"]
