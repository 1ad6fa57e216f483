"""What ``openami c1222 relay`` makes of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.c1222_device import KEY_ID
from tests.transport.certificates import Authority

from openami.c1222.codes import SecurityMode
from openami.c1222.native import NativeAddress, Transport
from openami.c1222.titles import ApTitle
from openami.cli import c1222_relay
from openami.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from openami.relay.run import RelaySettings

PARENT: Final = f"c1222+tcp://127.0.0.1:1153?node=.123.4&key={KEY_ID}&mode=2"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(f'{KEY_ID} = "{bytes(range(16)).hex()}"\n')
    return path


def settings(**options: Any) -> RelaySettings:
    """Return what the command makes of options, those that are not given being left out."""
    context = c1222_relay.relay.make_context(
        "relay",
        ["--listen", "127.0.0.1:1153", "--listen", "[::1]:0", "--title", ".123.1"]
        + [part for name, value in options.items() for part in _given(name, value)],
    )
    parameters = dict(context.params)
    del parameters["log_level"], parameters["as_json"]
    return c1222_relay._settings(**parameters)


def _given(name: str, value: Any) -> list[str]:
    option = "--" + name.replace("_", "-")
    if value is True:
        return [option]
    return [
        part
        for each in (value if isinstance(value, list) else [value])
        for part in (option, str(each))
    ]


def test_a_master(key_file: Path) -> None:
    made = settings(master=True)
    assert made.sockets.listen == (("127.0.0.1", 1153), ("::1", 0))
    assert (made.sockets.tls, made.sockets.dtls, made.sockets.largest_ipv4) == (None, None, 548)
    assert (str(made.title), made.master, made.parent) == (".123.1", True, None)
    assert (made.least, made.period) == (SecurityMode.CLEAR, 3600)
    made = settings(master=True, key_file=key_file, mtu=600, period=60)
    assert (made.least, made.period) == (SecurityMode.AUTHENTICATED, 60)
    assert (made.sockets.largest_ipv4, made.sockets.largest_ipv6) == (572, 552)
    assert settings(master=True, key_file=key_file, least=2).least is SecurityMode.ENCRYPTED


def test_one_with_a_parent(key_file: Path) -> None:
    routes = [".123.5=192.0.2.1:1153", "2.16.124.113620.1.22.0.7=[::1]:99/udp"]
    made = settings(parent=PARENT, key_file=key_file, route=routes)
    assert made.parent is not None
    assert (made.parent.port, made.period, made.sockets.dial_tls) == (1153, 240, None)
    assert made.registers
    assert not settings(parent=PARENT, key_file=key_file, no_register=True).registers
    assert made.routes == {
        ApTitle.parse(".123.5"): NativeAddress.of("192.0.2.1", 1153, Transport.TCP),
        ApTitle.parse("2.16.124.113620.1.22.0.7"): NativeAddress.of("::1", 99, Transport.UDP),
    }


def test_certificates(key_file: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("relay")
    own = {"certificate": pair.certificate, "certificate_key": pair.key}
    made = settings(master=True, **own).sockets
    assert made.tls is not None
    assert made.dtls is not None
    assert (made.dial_tls, made.dial_dtls) == (None, None)
    for carrier in ("tls", "dtls"):
        parent = PARENT.replace("+tcp", f"+{carrier}")
        made = settings(parent=parent, key_file=key_file, ca=authority.certificate).sockets
        assert (made.dial_tls is None, made.dial_dtls is None) == (
            carrier == "dtls",
            carrier == "tls",
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "the master, or has a parent"),
        ({"master": True, "parent": PARENT}, "the master, or has a parent"),
        ({"parent": "c1222+serial:/dev/ttyS0"}, "over a network"),
        ({"master": True, "certificate": "x"}, "go together"),
        ({"parent": "c1222+tcp://127.0.0.1"}, "does not say the node's ApTitle"),
        ({"parent": PARENT}, "no key has the id 2"),
        ({"parent": "tcp://127.0.0.1"}, "names no node"),
        ({"master": True, "title": "x"}, "not an ApTitle"),
        ({"master": True, "route": ".1"}, "APTITLE=HOST:PORT"),
        ({"master": True, "route": ".1=a:1"}, "'a' does not appear"),
        ({"master": True, "route": ".1=127.0.0.1"}, "not HOST:PORT"),
        ({"master": True, "route": ".1=127.0.0.1:0"}, "a port is 1"),
    ],
)
def test_mistakes(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings(**options)
