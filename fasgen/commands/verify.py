"""``fasgen verify``: does the store hold what its manifests say?"""

from __future__ import annotations

from pathlib import Path

import click

from fasgen.commands import options


@click.command(short_help="Check every digest, every count and every plan in the store.")
@options.config_options
def verify(config_path: Path | None, store: Path | None) -> int:
    """Read the whole store and compare it with its manifests: conservation of rows, unique ids, digests, plan hashes.

    Exit codes: 0 all is well (warnings allowed), 2 something is damaged.
    """
    from fasgen.manifests.verify import verify as check

    found = options.find_store(config_path, store)
    findings = check(found)
    for finding in findings:
        click.echo(f"{finding.severity:<8} {finding.where}: {finding.what}")
    errors = sum(str(finding.severity) == "error" for finding in findings)
    click.echo(f"{found}: {errors} errors, {len(findings) - errors} warnings")
    return 2 if errors else 0
