"""A rehearsal on a GPU of a cluster, in a process of its own."""

from __future__ import annotations

from typing import Any

from fasgen.errors import ResourceError
from fasgen.pipeline.calling import one_line
from fasgen.pipeline.rehearsal import LIMIT, Rehearsal, rates
from fasgen.pipeline.resources import worker_environment


def rehearse(job: Rehearsal, model: str, *, gpus: int = 1, environment: dict[str, str] | None = None) -> dict[int, float]:
    """Rehearse on a GPU of the connected cluster; images a second by batch.

    Args:
        job: what is rehearsed.
        model: the kind of GPU, as the cluster names it; any if it names none.
        gpus: GPUs to ask for; 0 rehearses on a CPU.
        environment: environment variables, besides those for threads and determinism.

    Raises:
        ResourceError: it could not be measured.
    """
    import ray

    variables = {**worker_environment(job.threads), **(environment or {})}
    options: dict[str, Any] = {"num_cpus": 1, "num_gpus": gpus, "runtime_env": {"env_vars": variables}}
    if gpus and f"accelerator_type:{model}" in ray.cluster_resources():
        options["accelerator_type"] = model
    # An actor, since it can be killed at any moment: a task that is cancelled while its answer is on the way ends the driver.
    actor = ray.remote(**options)(_Rehearsing).remote()
    try:
        measured: dict[int, float] = ray.get(actor.rates.remote(job, "cuda" if gpus else "cpu"), timeout=LIMIT)
    except ray.exceptions.RayError as error:
        raise ResourceError(one_line(getattr(error, "cause", None) or error)) from error
    finally:
        ray.kill(actor)
    if not measured:
        raise ResourceError("not even the smallest batch fits into memory")
    return measured


class _Rehearsing:
    def rates(self, job: Rehearsal, device: str) -> dict[int, float]:
        import torch

        return dict(rates(job, torch.device(device)))
