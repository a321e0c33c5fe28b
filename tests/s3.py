"""A real S3 server on this machine, for the tests of what lies at addresses."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import pytest


@contextmanager
def serving(name: str) -> Iterator[str]:
    """Serve an empty bucket whose name begins with ``name``; yields its address.

    The environment of this process, and of those it starts, names the server meanwhile. Skips the test that asks for it, by
    name, where the server or the driver is not installed.
    """
    for needed in ("moto", "flask", "flask_cors", "s3fs"):
        pytest.importorskip(needed, reason='needs an S3 server and its driver: pip install -e ".[dev]"')
    import fsspec
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    said = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    said |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "NO_PROXY": host}
    before = {variable: os.environ.get(variable) for variable in said}
    os.environ.update(said)
    # What a server held before, another in this process holds as well.
    bucket = f"{name}-{token_hex(4)}"
    try:
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
        yield f"s3://{bucket}"
    finally:
        for variable, value in before.items():
            if value is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = value
        fsspec.filesystem("s3").clear_instance_cache()
        server.stop()
