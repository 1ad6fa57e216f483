"""``openami c1222``: nodes of ANSI C12.22 of any maker."""

from __future__ import annotations

from typing import Final

import click

from openami.cli.lazy import LazyGroup

COMMANDS: Final[dict[str, str]] = {
    "identify": "openami.cli.c1222_network:identify",
    "discover": "openami.cli.c1222_network:discover",
    "read": "openami.cli.c1222_tables:read",
    "write": "openami.cli.c1222_tables:write",
    "register": "openami.cli.c1222_network:register",
    "deregister": "openami.cli.c1222_network:deregister",
    "resolve": "openami.cli.c1222_network:resolve",
    "trace": "openami.cli.c1222_network:trace",
    "relay": "openami.cli.c1222_relay:relay",
    "test": "openami.cli.c1222_test:test",
}


@click.group(cls=LazyGroup, where=COMMANDS, short_help="Ask, test and connect nodes of C12.22.")
def c1222() -> None:
    """Ask, test and connect nodes of ANSI C12.22, of any maker.

    A node's URL is c1222+tcp://HOST:PORT?node=APTITLE, with title= our own ApTitle, key= the id of
    the key, mode= 0 clear, 1 authenticated or 2 encrypted, user= whose password is shown; also
    c1222+udp, c1222+tls, c1222+dtls, and c1222+serial:/dev/ttyUSB0 for C12.18. Keys come from a
    file, passwords from a file or OPENAMI_METER_PASSWORD.
    """
