"""The ``openami`` command."""

from __future__ import annotations

import errno
import gc
import os
import sys
from typing import Any, Final

import click

from openami import __version__
from openami.cli.lazy import LazyGroup
from openami.core.errors import ConfigError, OpenAmiError

WIDTH: Final = 96  # of help on a wide terminal; the reference in docs/ is as wide
INTERRUPTED: Final = 130  # what a shell gives for SIGINT
# Objects between two looks for garbage. What a command imports makes hundreds of thousands, all of
# which stay: to look through them time and again takes a fifth of a head-end's start.
COLLECT_EACH: Final = 10_000

COMMANDS: Final[dict[str, str]] = {
    "demo": "openami.cli.demo:demo",
    "meter": "openami.cli.meter:meter",
    "street": "openami.cli.street:street",
    "ihd": "openami.cli.ihd:ihd",
    "appliance": "openami.cli.appliance:appliance",
    "dcu": "openami.cli.dcu:dcu",
    "headend": "openami.cli.headend:headend",
    "read": "openami.cli.read:read",
    "scan": "openami.cli.scan:scan",
    "c1222": "openami.cli.c1222:c1222",
    "decode": "openami.cli.decode:decode",
    "readings": "openami.cli.readings:readings",
    "bill": "openami.cli.bill:bill",
    "bills": "openami.cli.bills:bills",
    "tariff": "openami.cli.tariff:tariff",
    "customer": "openami.cli.customer:customer",
    "device": "openami.cli.device:device",
    "demand": "openami.cli.demand:demand",
    "notice": "openami.cli.notice:notice",
    "dm": "openami.cli.dm:dm",
    "release": "openami.cli.release:release",
    "campaign": "openami.cli.campaign:campaign",
    "firmware": "openami.cli.firmware:firmware",
    "metrology": "openami.cli.metrology:metrology",
    "audit": "openami.cli.audit:audit",
    "pki": "openami.cli.pki:pki",
    "login": "openami.cli.login:login",
}


@click.group(
    cls=LazyGroup,
    where=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)
@click.version_option(__version__, prog_name="openami")
def cli() -> None:
    """An open Advanced Metering Infrastructure: meters, DCUs, a head-end and its console.

    Start with `openami demo`. Data goes to stdout, logs and progress to stderr; commands that
    print data take --json. Errors read `error[code]: what happened`, with a hint where there is
    one, and set the exit status: 2 for a mistake in options or settings, 3 for a broken protocol
    or a refused value, 4 for a refused credential, 5 for a line or a server that can not be
    reached, 6 for a store, 130 for Ctrl-C, 1 for all else.
    """


def report(error: OpenAmiError) -> int:
    """Print ``error`` on stderr; return the exit status for it."""
    click.echo(f"error[{error.code}]: {error.message}", err=True)
    if error.hint:
        click.echo(f"  hint: {error.hint}", err=True)
    return error.exit_status


def report_usage(error: click.ClickException) -> int:
    """Print a mistake in the command's own words on stderr; return the exit status for it."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):  # its words are the help
        click.echo(error.format_message(), err=True)
        return error.exit_code
    click.echo(f"error[usage]: {error.format_message()}", err=True)
    context = getattr(error, "ctx", None)
    if context is not None:
        click.echo(f"  hint: {context.command_path} --help", err=True)
    return error.exit_code


def main(arguments: list[str] | None = None, **extra: Any) -> int:
    """Run the command; return its exit status.

    Args:
        arguments: without the command's name; None: this process is the command's own, and these
            are its.
        **extra: for click.
    """
    if arguments is None:
        gc.set_threshold(COLLECT_EACH, *gc.get_threshold()[1:])
    try:
        status = cli.main(arguments, prog_name="openami", standalone_mode=False, **extra)
    except click.ClickException as error:
        return report_usage(error)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (as with `| head`): say nothing, not even at exit.
        _drop_output()
        return 0
    except (OpenAmiError, OSError) as error:
        return report(_ours(error))
    return status if isinstance(status, int) else 0


def _ours(error: OpenAmiError | OSError) -> OpenAmiError:
    """Return an error as one of ours; raise an OSError that is about no file and no output."""
    if isinstance(error, OpenAmiError):
        return error
    if error.filename is not None:
        # A file that the user named, or one in a folder that the user named.
        return ConfigError(f"{error.filename}: {error.strerror}", code="config.file")
    if error.errno not in {errno.ENOSPC, errno.EIO}:
        raise error
    _drop_output()
    return ConfigError(f"output: {error.strerror}", code="config.file")


def _drop_output() -> None:
    """Let nobody have what still waits to be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
