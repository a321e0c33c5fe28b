"""The command line. Thin: it imports click and nothing else before a command runs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click

from fasgen import __version__
from fasgen.commands.attach import attach
from fasgen.commands.cluster import cluster
from fasgen.commands.config import config
from fasgen.commands.diff import diff
from fasgen.commands.doctor import doctor
from fasgen.commands.duplicates import duplicates
from fasgen.commands.eval import evaluate
from fasgen.commands.experiment import experiment
from fasgen.commands.gc import gc
from fasgen.commands.ingest import ingest
from fasgen.commands.models import models
from fasgen.commands.paper import paper
from fasgen.commands.plan import plan
from fasgen.commands.protocol import protocol
from fasgen.commands.quality import quality
from fasgen.commands.report import report
from fasgen.commands.reproduce import reproduce
from fasgen.commands.retract import retract
from fasgen.commands.retry import retry
from fasgen.commands.run import run
from fasgen.commands.score import score
from fasgen.commands.sheet import sheet
from fasgen.commands.ship import ship
from fasgen.commands.show import show
from fasgen.commands.sources import sources
from fasgen.commands.stages import stages
from fasgen.commands.status import status
from fasgen.commands.trace import trace
from fasgen.commands.train import train
from fasgen.commands.verify import verify
from fasgen.errors import FasgenError

REFUSED, INTERRUPTED = 2, 130


class Cli(click.Group):
    """The group of all commands: commands return their exit code, errors become one message."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its code.

        FASGEN_DEBUG=1 in the environment adds the traceback to an error's message.
        """
        try:
            code = super().main(args, prog_name or "fasgen", complete_var, standalone_mode=False, **extra)
        except FasgenError as error:
            if os.environ.get("FASGEN_DEBUG", "0") not in {"", "0"}:
                traceback.print_exc()
            click.echo(f"fasgen: {error}", err=True)
            code = error.exit_code
        except click.ClickException as error:
            error.show()
            code = REFUSED
        except (KeyboardInterrupt, click.Abort):
            click.echo("fasgen: interrupted", err=True)
            code = INTERRUPTED
        except BrokenPipeError:
            # The reader (head, less) has seen enough; what is still in the buffer must not complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except OSError as error:
            # Disks fill up and mounts vanish anywhere; what is committed stays, and the same command goes on from there.
            if os.environ.get("FASGEN_DEBUG", "0") not in {"", "0"}:
                traceback.print_exc()
            click.echo(f"fasgen: {error}: free space, or mend the disk or its permissions, and give the same command", err=True)
            code = REFUSED
        sys.exit(code or 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which one meets them."""
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or refuse with the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            close = get_close_matches(args[0], list(self.commands), n=1)
            hint = f"; did you mean `fasgen {close[0]}`?" if close else f". Commands: {', '.join(self.commands)}"
            raise click.UsageError(f"there is no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "--version", prog_name="fasgen")
def main() -> None:
    """Turn folders of faces into training data for face anti-spoofing.

    Two commands to begin with: `fasgen doctor`, then `fasgen run sources=./photos`.
    """


@click.command(short_help="Print the version.")
def version() -> None:
    """Print the version."""
    click.echo(__version__)


for _command in (
    run,
    plan,
    ingest,
    sources,
    status,
    report,
    show,
    sheet,
    trace,
    diff,
    verify,
    reproduce,
    ship,
    protocol,
    duplicates,
    cluster,
    attach,
    quality,
    retry,
    retract,
    train,
    experiment,
    paper,
    score,
    gc,
    evaluate,
    stages,
    models,
    config,
    doctor,
    version,
):
    main.add_command(_command)
