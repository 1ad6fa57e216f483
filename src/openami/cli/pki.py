"""``openami pki``: the authorities of a head-end, what they issue, and whom it trusts."""

from __future__ import annotations

import click

from openami.cli.pki_maker import factory, maker


@click.group(short_help="Certificates: authorities, trust anchors, revocation; factory identities.")
def pki() -> None:
    """Look after certificates, on the machine of the head-end and with or without it running.

    `maker` and `factory` are a manufacturer's own tools and need no head-end.
    """


pki.add_command(maker)
pki.add_command(factory)
