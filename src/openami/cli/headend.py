"""``openami headend``: run a head-end, and look after its installation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openami.cli.options import (
    clock_option,
    config_option,
    examples,
    log_option,
    parse_assignments,
    set_option,
    world_clock,
)
from openami.cli.output import counted, emit_json, json_option, note
from openami.cli.secrets import account_password, account_password_option
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from openami.headend.server import Running
    from openami.headend.settings import HeadendSettings

state_option = click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the installation; the first start makes it. [default: openami-headend]",
)  # fmt: skip


@click.group(short_help="Run a head-end with its REST API and console.")
def headend() -> None:
    """Run a head-end: registry, uploads, readings, REST API and console."""


def load(config: Path | None, assignments: tuple[str, ...], **options: Any) -> HeadendSettings:
    """Return the settings of a head-end from file, environment and options."""
    from openami.headend.settings import HeadendSettings

    given = {name: value for name, value in options.items() if value is not None}
    return HeadendSettings.load(config, **{**parse_assignments(assignments), **given})


def existing(
    config: Path | None, assignments: tuple[str, ...], state: Path | None
) -> HeadendSettings:
    """Return the settings of a head-end whose installation has been made.

    Raises:
        ConfigError: ``config.installation``, it has not: a slip in its name must not make another.
    """
    settings = load(config, assignments, state=state)
    if not (settings.state / "pki").is_dir():
        raise ConfigError(
            f"there is no installation in {settings.state}",
            hint="openami headend run --state DIR makes one",
            code="config.installation",
        )
    return settings


@headend.command(
    epilog=examples(
        "openami headend run --state headend --timezone Asia/Seoul",
        "openami headend run --config headend.toml --set page_rows=500",
    )
)
@config_option
@state_option
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="For operators: console and REST API. [default: 127.0.0.1:8443]",
)
@click.option(
    "--device-listen",
    metavar="HOST:PORT",
    help="For DCUs, with mutual TLS. [default: 127.0.0.1:8444]",
)
@click.option(
    "--security-listen",
    metavar="HOST:PORT",
    help="For devices that register, with mutual TLS. [default: 127.0.0.1:8445]",
)
@click.option(
    "--timezone", metavar="ZONE", help="Time zone of the pages, such as Asia/Seoul. [default: UTC]"
)
@set_option
@clock_option
@log_option
@json_option
def run(
    config: Path | None,
    state: Path | None,
    listen: str | None,
    device_listen: str | None,
    security_listen: str | None,
    timezone: str | None,
    assignments: tuple[str, ...],
    clock: str | None,
    log_level: str,
    as_json: bool,
) -> None:
    """Run a head-end until SIGTERM or Ctrl-C.

    The first start makes certificates, a database, a lake and an account `admin`, whose password
    it puts into the file admin-password of the state folder.
    """
    from openami.cli.run import run_server
    from openami.headend import server

    settings = load(
        config,
        assignments,
        state=state,
        listen=listen,
        device_listen=device_listen,
        security_listen=security_listen,
        timezone=timezone,
    )

    def announce(running: Running) -> None:
        facts = {
            "console": running.url,
            "devices": running.device_url,
            "security": running.security_url,
            "c1222": running.c1222,
            "ca": str(running.home.authority),
            "admin_password": str(running.home.admin_password),
        }
        if as_json:
            emit_json(facts)
            return
        note(f"console   {running.url}")
        note(f"devices   {running.device_url}")
        note(f"security  {running.security_url}")
        if running.c1222 is not None:
            note(f"c1222     {running.c1222}, TCP and UDP")
        if running.first_password is not None:
            note(f"account   {settings.admin_name}, password in {running.home.admin_password}")
        note("Ctrl-C stops it.")

    work = server.run(
        settings,
        clock=world_clock(clock) if clock else None,
        announce=announce,
    )
    run_server(work, log_level=log_level)


@headend.command(epilog=examples("openami headend enroll DCU-1 --state headend --out credentials"))
@click.argument("dcu")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="Folder that gets certificate.pem, key.pem and authority.pem.",
)  # fmt: skip
@config_option
@state_option
@set_option
def enroll(
    dcu: str, out: Path, config: Path | None, state: Path | None, assignments: tuple[str, ...]
) -> None:
    """Make the credentials of a DCU, and register it.

    The private key is written to OUT and kept nowhere else.
    """
    from openami.headend.offline import open_offline

    with open_offline(existing(config, assignments, state)) as home:
        made = home.registry.enroll_dcu(dcu, who=who(), why="enrolled from the command line")
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in (
        ("certificate.pem", made.certificate),
        ("authority.pem", made.authority),
        ("key.pem", made.key),
    ):
        write_private(out / name, content)
    note(f"{dcu}: credentials in {out}")


@headend.command("import", short_help="Take a maker's shipment file of meters and keys.")
@click.argument("shipment", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@config_option
@state_option
@set_option
@json_option
def import_shipment(
    shipment: Path,
    config: Path | None,
    state: Path | None,
    assignments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Take a maker's file SHIPMENT: its meters are expected, their keys go into the vault."""
    from openami.headend.offline import open_offline

    with open_offline(existing(config, assignments, state)) as home:
        taken = home.shipments.take(shipment.read_bytes(), who=who())
    if as_json:
        emit_json({"added": taken.added, "known": taken.known})
    else:
        note(f"{counted(taken.added, 'meter')} added, {taken.known} known before")


@headend.command(epilog=examples("openami headend rekey --state headend"))
@config_option
@state_option
@set_option
@json_option
def rekey(
    config: Path | None, state: Path | None, assignments: tuple[str, ...], as_json: bool
) -> None:
    """Change the key that seals the vault.

    Every secret is sealed anew; a head-end that runs goes on with the new key. What is
    interrupted may be repeated. Back up the file `kek` again, apart from the rest.
    """
    from openami.headend.offline import open_offline

    with open_offline(existing(config, assignments, state)) as home:
        count = home.rekey(who=who())
    if as_json:
        emit_json({"secrets": count})
    else:
        note(f"{counted(count, 'secret')} sealed with a new key")


@headend.command()
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["viewer", "operator", "admin"]), default="operator",
    show_default=True, help="What a new account may do.",
)  # fmt: skip
@account_password_option
@config_option
@state_option
@set_option
def account(
    name: str,
    role: str,
    password_file: Path | None,
    config: Path | None,
    state: Path | None,
    assignments: tuple[str, ...],
) -> None:
    """Add the operator NAME."""
    from openami.fleet.operators import Role
    from openami.headend.offline import open_offline

    settings = existing(config, assignments, state)
    password = account_password(password_file, new=True)
    with open_offline(settings) as home:
        home.operators.add(name, password, Role(role), who=who())
    note(f"{name} may sign in as {role}")


def who() -> str:
    """Return who is at the command line, for the audit log."""
    user = os.environ.get("SUDO_USER") or os.environ.get("USER") or f"uid {os.getuid()}"
    return f"{user}@command-line"


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; ConfigError."""
    from openami.headend.files import write_whole

    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
