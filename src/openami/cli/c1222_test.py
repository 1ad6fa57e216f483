"""``openami c1222 test``: every service, right and wrong, against a node of any maker."""

from __future__ import annotations

import asyncio
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.c1222_keys import gather_numbered, numbered_key_file_option
from openami.cli.options import endpoint, examples
from openami.cli.output import emit_json, json_option, note, sink
from openami.cli.secrets import read_password
from openami.core.errors import ConfigError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openami.c1222.conformance import Case, Report, Run, Target

FINDINGS: Final = 1
UNREACHABLE: Final = 2
_FILE = click.Path(path_type=Path, dir_okay=False)
_CLEAR_LINE: Final = "\r\x1b[K"


@dataclass(frozen=True, slots=True)
class Where:
    """Where the node is, and how its messages travel."""

    host: str
    port: int
    udp: bool = False
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        inside, outside = ("dtls", "udp") if self.udp else ("tls", "tcp")
        return f"{host}:{self.port}/{inside if self.tls else outside}"


@dataclass(slots=True)
class Progress:
    """Tells on stderr which case is under way: one line on a terminal, else one for each end."""

    terminal: bool = field(default_factory=sys.stderr.isatty)
    _told: int = 0

    def __call__(self, run: Run) -> None:
        """Look at what has changed."""
        if self.terminal:
            done, name = len(run.results), run.current.name if run.current else ""
            click.echo(f"{_CLEAR_LINE}{done}/{len(run.cases)} {name}", err=True, nl=False)
            return
        for result in run.results[self._told :]:
            note(f"{result.case.name}: {result.verdict.value}")
        self._told = len(run.results)

    def end(self) -> None:
        """Leave the line."""
        if self.terminal:
            click.echo(_CLEAR_LINE, err=True, nl=False)


@click.command(
    "test",
    short_help="Test a node of C12.22, service by service.",
    epilog=examples(
        "openami c1222 test 127.0.0.1:1153 --node .123.8437 --key-file keys.toml --mode 2",
        "openami c1222 test '[::1]:1153' --udp --node .123.8437 --only Read --only Tables",
        "openami c1222 test meter:1153 --node .123.8437 --intrusive --user 2 --password-file pw"
        " --html report.html --junit report.xml",
        "openami c1222 test meter:1153 --node .123.8437 --tls --ca ca.pem",
    ),
)
@click.argument("where", metavar="HOST:PORT")
@click.option(
    "--node", required=True, metavar="TITLE", help="The node's ApTitle, such as .123.8437."
)
@click.option("--title", default=".123.9", show_default=True, help="The tester's own ApTitle.")
@numbered_key_file_option
@click.option(
    "--key-id", type=click.IntRange(0, 255), help="The key that is used [default: the lowest]."
)
@click.option(
    "--mode", type=click.IntRange(0, 2),
    help="Protection: 0 clear, 1 authenticated, 2 encrypted [default: 2 with a key, else 0].",
)  # fmt: skip
@click.option(
    "--user",
    type=click.IntRange(0, 0xFFFF),
    default=2,
    show_default=True,
    help="The user of the password.",
)
@click.option(
    "--password-file", type=_FILE,
    help="A file with the user's password; without one, what wants it is skipped.",
)  # fmt: skip
@click.option(
    "--only", multiple=True, metavar="SERVICE", help="Only this service, or this case; repeatable."
)
@click.option(
    "--intrusive", is_flag=True, help="Also what writes, registers, locks out or disconnects."
)
@click.option("--udp", is_flag=True, help="Datagrams instead of a connection.")
@click.option("--tls", is_flag=True, help="Inside TLS, or with --udp inside DTLS.")
@click.option(
    "--ca",
    type=_FILE,
    help="Who signs the node's certificate, in PEM [default: whom this machine trusts].",
)
@click.option("--certificate", type=_FILE, help="Our own certificate for TLS and DTLS, in PEM.")
@click.option("--certificate-key", type=_FILE, help="Its private key.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 120),
    default=5.0,
    show_default=True,
    help="Seconds that an answer may take.",
)
@click.option(
    "--html",
    type=_FILE,
    help="Write a page with each message parsed beside its octets.",
)
@click.option("--junit", type=_FILE, help="Write JUnit XML.")
@json_option
def test(
    where: str,
    html: Path | None,
    junit: Path | None,
    only: Sequence[str],
    intrusive: bool,
    udp: bool,
    tls: bool,
    ca: Path | None,
    certificate: Path | None,
    certificate_key: Path | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Test the node at HOST:PORT with every service of C12.22, right and wrong.

    What only reads is always run. What writes, registers the tester, guesses passwords until the
    node pauses, or takes it off the network is run with --intrusive; what is skipped says why.
    The exit status is 0 if nothing was found, 1 if something was, 2 if the node can not be reached
    or an option is wrong.
    """
    from openami.c1222.conformance import chosen

    there = Where(*endpoint(where), udp, tls)
    if (certificate is None) != (certificate_key is None):
        raise ConfigError("--certificate and --certificate-key go together")
    if not tls and (ca or certificate):
        raise ConfigError("--ca and --certificate are for --tls")
    inside = _inside(there, ca, certificate, certificate_key)
    target = _target(there, **options)
    try:
        report = asyncio.run(_work(there, target, chosen(only), intrusive, inside))
    except TransportError as error:
        error.exit_status = UNREACHABLE
        raise
    _write(report, html, junit, as_json)
    return FINDINGS if report.findings else 0


def _target(
    where: Where,
    *,
    node: str,
    title: str,
    key_file: Path | None,
    key_id: int | None,
    mode: int | None,
    user: int,
    password_file: Path | None,
    timeout: float,
) -> Target:
    """Return whom to test.

    Raises:
        ConfigError: an option contradicts another, or a file can not be read.
    """
    from openami.c1222.conformance import Target
    from openami.c1222.titles import ApTitle
    from openami.transport.c1222.testing import UDP_RETRIES, largest_datagram

    try:
        titles = ApTitle.parse(node), ApTitle.parse(title)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    found = Target(
        *titles,
        **_protection(key_file, key_id, mode),
        user=user,
        password=None if password_file is None else read_password(password_file),
        timeout=timeout,
        retries=UDP_RETRIES if where.udp else 0,
        largest=largest_datagram(where.host, dtls=where.tls) if where.udp else None,
        stream=not where.udp,
    )
    if len(found.password or b"") > 20:
        raise ConfigError("a password has 20 octets at most")
    return found


def _protection(key_file: Path | None, key_id: int | None, mode: int | None) -> dict[str, Any]:
    """Return keys, key and mode of a target."""
    from openami.c1222.codes import SecurityMode
    from openami.c1222.security import Keys

    keys = gather_numbered((), key_file)
    used = min(keys, default=None) if key_id is None else key_id
    if key_id is not None and key_id not in keys:
        raise ConfigError(f"no key has the id {key_id}", hint="--key-file")
    protection = SecurityMode((2 if keys else 0) if mode is None else mode)
    if protection and used is None:
        raise ConfigError(f"mode {protection.value} wants a key", hint="--key-file")
    return {"keys": Keys(keys), "key_id": used, "mode": protection}


def _inside(
    where: Where, ca: Path | None, certificate: Path | None, key: Path | None
) -> dict[str, Any]:
    """Return what a line is inside of."""
    from openami.transport.dtls import DtlsContext
    from openami.transport.tls import client_context

    if not where.tls:
        return {}
    if where.udp:
        return {"dtls": DtlsContext.client(ca, certificate=certificate, key=key)}
    return {"tls": client_context(ca, certificate=certificate, key=key)}


async def _work(
    where: Where,
    target: Target,
    cases: Sequence[Case],
    intrusive: bool,
    inside: Mapping[str, Any],
) -> Report:
    from openami.c1222.conformance import Run
    from openami.transport.c1222.testing import Line
    from openami.transport.clock import SystemClock

    clock, progress = SystemClock(), Progress()
    run = Run(target, cases, first_id=secrets.randbits(31), intrusive=intrusive)
    line = Line(where.host, where.port, datagrams=where.udp, **inside)
    try:
        await line.drive(run, clock=clock, progress=progress)
    finally:
        progress.end()
    return run.report(str(where), now=clock.now())


def _write(report: Report, html: Path | None, junit: Path | None, as_json: bool) -> None:
    from openami.c1222.conformance.html import to_html
    from openami.c1222.conformance.junit import to_junit
    from openami.c1222.conformance.text import to_text

    if html is not None:
        with sink(html) as file:
            file.write(to_html(report).encode())
    if junit is not None:
        with sink(junit) as file:
            file.write(to_junit(report))
    if as_json:
        emit_json(report.to_dict())
    else:
        click.echo(to_text(report))
