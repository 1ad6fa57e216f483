"""``openami c1222 identify``, ``register``, ``deregister``, ``resolve`` and ``trace``."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar

import click

from openami.cli.c1222_access import make_access, node_options
from openami.cli.meter_access import run
from openami.cli.options import examples
from openami.cli.output import emit_json, json_option, table
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.c1222.services import Request, Response
    from openami.c1222.titles import ApTitle

R = TypeVar("R", bound="Response")
_URL = click.argument("url")
_PERIOD = 3600


def _asked(url: str, request: Request, kind: type[R], what: str, options: Mapping[str, Any]) -> R:
    from openami.transport.c1222.reader import expect

    access = make_access(url, **options)

    async def work() -> R:
        async with access.session() as ask:
            (answer,) = await ask(request)
            return expect(answer, kind, what)

    return run(work)


def _show(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    table(["what", "value"], [[name, _plain(value)] for name, value in found.items()])


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


@click.command(
    short_help="Ask what a node speaks and is.",
    epilog=examples("openami c1222 identify 'c1222+tcp://127.0.0.1:1153?node=.123.8437'"),
)
@_URL
@node_options
@json_option
def identify(url: str, as_json: bool, **options: Any) -> None:
    """Ask the node at URL what it speaks and is."""
    from openami.c1222.codes import Standard
    from openami.c1222.services import Identified, Identify

    found = _asked(url, Identify(), Identified, "Identify", options)
    features = found.features
    known = found.standard in Standard.__members__.values()
    spoken = Standard(found.standard).name.replace("_", ".") if known else str(found.standard)
    shown = {
        "standard": spoken,
        "version": f"{found.version}.{found.revision}",
        "mechanism": features.mechanism and str(features.mechanism),
        "sessions": features.sessions,
        "sessionless": features.sessionless,
        "device class": features.device_class and str(features.device_class),
        "identity": features.identity and str(features.identity),
        "unknown": features.unknown.hex(" ") or None,
    }
    _show({name: value for name, value in shown.items() if value is not None}, as_json=as_json)


@click.command(
    short_help="Find the nodes of a link.",
    epilog=examples("openami c1222 discover", "openami c1222 discover --from fe80::1%eth0 --json"),
)
@click.option(
    "--from", "host", default="0.0.0.0", show_default=True, metavar="ADDRESS",  # noqa: S104 - the system chooses the link
    help="Our own address on the link; :: and others of IPv6 ask FF02::204.",
)  # fmt: skip
@click.option("--port", type=click.IntRange(1, 0xFFFF), default=1153, show_default=True,
              help="Of the nodes.")  # fmt: skip
@click.option("--title", default=".123.9", show_default=True, help="Our own ApTitle.")
@click.option(
    "--wait", type=click.FloatRange(0.05, 60), default=2.0, show_default=True,
    help="Seconds that answers are waited for.",
)  # fmt: skip
@json_option
def discover(host: str, port: int, title: str, wait: float, as_json: bool) -> None:
    """Ask all nodes of a link who they are, by multicast (224.0.2.4 or FF02::204).

    Nodes that take nothing in clear stay silent.
    """
    import secrets

    from openami.transport.c1222.discovery import discover as ask_all

    own = _title(title)
    try:
        ip_address(host)
    except ValueError as error:
        raise ConfigError(f"--from: {error}") from error
    found = run(
        lambda: ask_all(own, invocation_id=secrets.randbits(31), host=host, port=port, wait_s=wait)
    )
    rows = [
        [str(each.address), str(each.title or ""), str(each.identified.features.identity or "")]
        for each in found
    ]
    if as_json:
        emit_json([dict(zip(("address", "title", "identity"), row, strict=True)) for row in rows])
    else:
        table(["address", "title", "identity"], rows, nothing="no node answers")


@click.command(
    short_help="Register a node.",
    epilog=examples(
        "openami c1222 register 'c1222+tcp://127.0.0.1:1153?node=.123.1&title=.123.9&key=2&mode=2' \\",
        "    --key-file keys.toml --serial .123.9 --native 127.0.0.1:1153",
    ),
)
@_URL
@click.option("--name", metavar="APTITLE", help="What to be called [default: the URL's title].")
@click.option("--serial", metavar="APTITLE", help="Its electronic serial number [default: name].")
@click.option("--native", metavar="HOST:PORT", help="Where it listens, if not where it asks from.")
@click.option(
    "--period", type=click.IntRange(0, 0xFF_FFFF), default=_PERIOD, show_default=True,
    help="Seconds until it registers again.",
)  # fmt: skip
@click.option(
    "--device-class", default="OAMI", show_default=True, help="Four characters of maker and model."
)
@click.option(
    "--as", "kind", type=click.Choice(["end-device", "host", "notification-host", "relay"]),
    default="end-device", show_default=True, help="What it is.",
)  # fmt: skip
@node_options
@json_option
def register(
    url: str,
    name: str | None,
    serial: str | None,
    native: str | None,
    period: int,
    device_class: str,
    kind: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Register with the master relay, or the metering server, at URL."""
    from openami.c1222.codes import Connection, NodeType
    from openami.c1222.services import Register, Registered
    from openami.transport.c1222.url import NodeUrl

    title = _title(name) if name else NodeUrl.parse(url).title
    if len(device_class.encode()) != 4:
        raise ConfigError("--device-class has four characters")
    request = Register(
        NodeType[kind.upper().replace("-", "_")],
        Connection.CONNECTIONLESS | Connection.ACCEPTS_CONNECTIONLESS,
        device_class.encode(),
        title,
        _title(serial) if serial else title.absolute(),
        _native(native),
        period,
    )
    found = _asked(url, request, Registered, "Register", options)
    info = [each.name for each in Connection if each in found.info]
    shown = {"title": str(found.title), "delay": found.delay, "period": found.period, "info": info}
    _show(shown, as_json=as_json)


@click.command(
    short_help="End a registration.",
    epilog=examples("openami c1222 deregister 'c1222+tcp://127.0.0.1?node=.123.1' .123.9"),
)
@_URL
@click.argument("title")
@node_options
@json_option
def deregister(url: str, title: str, as_json: bool, **options: Any) -> None:
    """End the registration of TITLE with the registrar at URL."""
    from openami.c1222.services import Deregister, Deregistered

    wanted = _title(title)
    found = _asked(url, Deregister(wanted), Deregistered, "Deregister", options)
    _show({"deregistered": str(found.title or wanted)}, as_json=as_json)


@click.command(
    short_help="Ask for a node's native address.",
    epilog=examples("openami c1222 resolve 'c1222+tcp://127.0.0.1?node=.123.1' .123.8437"),
)
@_URL
@click.argument("title")
@node_options
@json_option
def resolve(url: str, title: str, as_json: bool, **options: Any) -> None:
    """Ask the relay at URL for the native address of TITLE."""
    from openami.c1222.native import NativeAddress
    from openami.c1222.services import Resolve, Resolved
    from openami.core.errors import DecodeError

    wanted = _title(title)
    found = _asked(url, Resolve(wanted), Resolved, "Resolve", options)
    try:
        address = str(NativeAddress.decode(found.native))
    except DecodeError:  # of a network that is not IP
        address = found.native.hex(" ")
    _show({"title": str(wanted), "address": address}, as_json=as_json)


@click.command(
    short_help="List the relays on the way to a node.",
    epilog=examples("openami c1222 trace 'c1222+tcp://127.0.0.1:1153?node=.123.8437'"),
)
@_URL
@node_options
@json_option
def trace(url: str, as_json: bool, **options: Any) -> None:
    """List the relays that a message to the node of the URL passes, the first one first."""
    from openami.c1222.services import Trace, Traced

    found = _asked(url, Trace(()), Traced, "Trace", options)
    titles = [str(title) for title in found.titles]
    if as_json:
        emit_json({"titles": titles})
    else:
        table(["hop", "title"], list(enumerate(titles, 1)), nothing="no relay on the way")


def _title(text: str) -> ApTitle:
    from openami.c1222.titles import ApTitle

    try:
        return ApTitle.parse(text)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _native(text: str | None) -> bytes:
    from openami.c1222.native import NativeAddress
    from openami.cli.options import endpoint

    if text is None:
        return b""
    try:
        return NativeAddress.of(*endpoint(text)).encode()
    except ValueError as error:
        raise ConfigError(f"--native: {error}") from error
