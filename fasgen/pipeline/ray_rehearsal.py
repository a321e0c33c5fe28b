"""A rehearsal on a GPU of a cluster, as a task of its own."""

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
    options: dict[str, Any] = {"num_gpus": gpus, "max_retries": 0, "max_calls": 1, "runtime_env": {"env_vars": variables}}
    if gpus and f"accelerator_type:{model}" in ray.cluster_resources():
        options["accelerator_type"] = model
    reference = ray.remote(**options)(_rates).remote(job, "cuda" if gpus else "cpu")
    try:
        measured: dict[int, float] = ray.get(reference, timeout=LIMIT)
    except ray.exceptions.RayError as error:
        if isinstance(error, ray.exceptions.GetTimeoutError):
            # What has failed already is not cancelled: where its last word comes after that, Ray ends the driver.
            ray.cancel(reference, force=True)
        raise ResourceError(one_line(getattr(error, "cause", None) or error)) from error
    if not measured:
        raise ResourceError("not even the smallest batch fits into memory")
    return measured


def _rates(job: Rehearsal, device: str) -> dict[int, float]:
    import torch

    return dict(rates(job, torch.device(device)))
