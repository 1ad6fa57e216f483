"""``openami c1222 relay``: pass messages of C12.22 on by ApTitle."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.c1222_keys import gather_numbered, numbered_key_file_option
from openami.cli.options import clock_option, endpoint, examples, log_option, shown, world_clock
from openami.cli.output import emit_json, json_option, note
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from openami.c1222.native import NativeAddress
    from openami.c1222.titles import ApTitle
    from openami.relay.run import RelayRunner, RelaySettings
    from openami.transport.c1222 import EndpointConfig
    from openami.transport.c1222.url import NodeUrl

_LEAST_MTU: Final = 128
"""Octets of a packet in which a segment still has more slice than head, with the longest titles."""
_UDP: Final = "/udp"
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.command(
    short_help="Pass messages on by ApTitle.",
    epilog=examples(
        "openami c1222 relay --listen 127.0.0.1:1153 --title .123.1 --master --key-file keys.toml \\",
        "    --state ways.json",
        "openami c1222 relay --listen 127.0.0.1:1154 --title .123.2 --key-file keys.toml \\",
        "    --parent 'c1222+tcp://127.0.0.1:1153?node=.123.1&key=2&mode=2'",
    ),
)
@click.option(
    "--listen",
    "places",
    multiple=True,
    required=True,
    metavar="HOST:PORT",
    help="Where it takes TCP and UDP; port 0: any. Repeatable.",
)
@click.option("--title", "own", required=True, metavar="APTITLE", help="Its ApTitle.")
@click.option("--master", is_flag=True, help="It registers nodes itself.")
@click.option(
    "--parent",
    metavar="URL",
    help="Where it passes on what it knows no way for: c1222+tcp://HOST:PORT?node=REGISTRAR with"
    " key=ID and mode=0, 1 or 2 of its own registration; also c1222+udp, c1222+tls, and c1222+dtls, with which its own UDP is for DTLS alone.",
)
@click.option(
    "--register/--no-register",
    "registers",
    default=True,
    help="Whether it registers itself; a head-end knows meters only, and refuses it.",
)
@numbered_key_file_option
@click.option(
    "--least",
    type=click.IntRange(0, 2),
    help="The mode that registrations with a master, and what else is said to the relay itself,"
    " need at least. [default: 1 with keys, else 0]",
)
@click.option(
    "--period",
    type=click.IntRange(10, 0xFF_FFFF),
    help="Seconds that registrations last: with a master, at most; its own. [default: 3600; 240]",
)
@click.option(
    "--mtu",
    type=click.IntRange(_LEAST_MTU, 0xFFFF),
    help="Octets of the largest packet of UDP. [default: 576, with IPv6 1280]",
)
@click.option(
    "--route",
    "ways",
    multiple=True,
    metavar="APTITLE=HOST:PORT[/udp]",
    help="The way to a title and to all that begin with it; HOST is an address. Repeatable.",
)
@click.option(
    "--state",
    type=_FILE,
    help="File of who is registered, so that they need not register again after a restart.",
)
@click.option(
    "--certificate",
    type=_FILE,
    help="Its certificate in PEM: it listens with TLS and DTLS, and shows it to its parent.",
)
@click.option("--certificate-key", type=_FILE, help="Its private key.")
@click.option(
    "--ca",
    type=_FILE,
    help="Who signs the parent's certificate, in PEM [default: whom this machine trusts].",
)
@clock_option
@log_option
@json_option
def relay(*, log_level: str, as_json: bool, **options: Any) -> None:
    """Run a relay until SIGTERM or Ctrl-C.

    It brings each message to the title that it is for: to who is registered with it or, through
    it, further up, along a way that is configured, or to its parent. It needs no key of those
    whose messages it passes on.
    """
    from openami.cli.run import run_server
    from openami.relay.run import run_relay

    settings = _settings(**options)
    ready = partial(_announce, str(settings.title), as_json=as_json)
    run_server(run_relay(settings, ready=ready), log_level=log_level)


def _settings(
    *,
    places: tuple[str, ...],
    own: str,
    master: bool,
    parent: str | None,
    registers: bool,
    key_file: Path | None,
    least: int | None,
    period: int | None,
    mtu: int | None,
    ways: tuple[str, ...],
    state: Path | None,
    clock: str | None,
    **certificates: Path | None,
) -> RelaySettings:
    """Return what the relay runs with.

    Raises:
        ConfigError: an option has a wrong value, or two contradict each other.
    """
    from openami.c1222.codes import SecurityMode
    from openami.c1222.security import Keys
    from openami.relay.run import RelaySettings
    from openami.transport.c1222.url import Carrier, NodeUrl

    if master == (parent is not None):
        raise ConfigError(
            "a relay is the master, or has a parent", hint="--master, or --parent URL"
        )
    keys = gather_numbered(key_file=key_file)
    above = None if parent is None else NodeUrl.parse(parent)
    if above is not None:
        if above.carrier is Carrier.SERIAL:
            raise ConfigError("a parent is reached over a network", code="config.url")
        above.client_config(Keys(keys))
    return RelaySettings(
        _title(own),
        _sockets(tuple(map(endpoint, places)), above, mtu=mtu, **certificates),
        master=master,
        parent=above,
        registers=registers,
        keys=Keys(keys),
        least=SecurityMode(bool(keys) if least is None else least),
        period=period or (3600 if master else 240),
        routes=dict(_routes(ways)),
        state=state,
        clock=world_clock(clock),
    )


def _sockets(
    places: tuple[tuple[str, int], ...],
    above: NodeUrl | None,
    *,
    mtu: int | None,
    ca: Path | None,
    certificate: Path | None,
    certificate_key: Path | None,
) -> EndpointConfig:
    """Return what the relay listens with, and how it speaks to its parent."""
    from openami.c1222.segments import HEADERS_IPV4, HEADERS_IPV6
    from openami.transport.c1222 import EndpointConfig
    from openami.transport.c1222.url import Carrier
    from openami.transport.dtls import DtlsContext
    from openami.transport.tls import client_context, server_context

    if (certificate is None) != (certificate_key is None):
        raise ConfigError("--certificate and --certificate-key go together")
    config = EndpointConfig(places)
    if mtu is not None:
        v4, v6 = mtu - HEADERS_IPV4, mtu - HEADERS_IPV6
        config = replace(config, largest_ipv4=v4, largest_ipv6=v6)
    if certificate is not None and certificate_key is not None:
        pair = certificate, certificate_key
        config = replace(config, tls=server_context(*pair), dtls=DtlsContext.server(*pair))
    if above is not None and above.carrier is Carrier.TLS:
        own = client_context(ca, certificate=certificate, key=certificate_key)
        config = replace(config, dial_tls=own)
    if above is not None and above.carrier is Carrier.DTLS:
        dtls = DtlsContext.client(ca, certificate=certificate, key=certificate_key)
        config = replace(config, dial_dtls=dtls)
    return config


def _title(text: str) -> ApTitle:
    from openami.c1222.titles import ApTitle

    try:
        return ApTitle.parse(text)
    except ValueError as error:
        raise ConfigError(str(error), code="config.title") from error


def _routes(ways: Iterable[str]) -> Iterator[tuple[ApTitle, NativeAddress]]:
    from openami.c1222.native import NativeAddress, Transport

    for way in ways:
        title, equals, address = way.partition("=")
        if not equals:
            raise ConfigError(
                "--route wants APTITLE=HOST:PORT", hint="such as .123.5=192.0.2.1:1153"
            )
        host, port = endpoint(address.removesuffix(_UDP))
        kind = Transport.UDP if address.endswith(_UDP) else Transport.TCP
        try:
            yield _title(title), NativeAddress.of(host, port, kind)
        except ValueError as error:
            raise ConfigError(f"{way!r}: {error}", code="config.route") from error


def _announce(title: str, runner: RelayRunner, *, as_json: bool) -> None:
    """Tell where the relay can be reached."""
    places = [shown((str(each.host), each.port or 0)) for each in runner.listening]
    if as_json:
        emit_json({"title": title, "listening": places})
        return
    note(f"relay {title}")
    for place in places:
        note(f"  TCP and UDP  {place}")
