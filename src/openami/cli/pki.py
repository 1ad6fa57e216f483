"""``openami pki``: the authorities of a head-end, what they issue, and whom it trusts."""

from __future__ import annotations

import functools
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.headend import existing, state_option, who, write_private
from openami.cli.options import config_option, examples, set_option
from openami.cli.output import emit_json, json_option, note, table
from openami.cli.pki_maker import factory, maker
from openami.core.clock import isoformat, utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from openami.fleet.certificates import CertificateRecord, TrustAnchor
    from openami.headend.offline import Offline
    from openami.headend.security.pki import Pki

FOLLOWED: Final = ("devices", "servers", "operators")
MAX_FILE: Final = 8 << 20  # octets of a list or a certificate: a mistaken file is not read whole


@click.group(short_help="Certificates: authorities, trust anchors, revocation, factory identities.")
def pki() -> None:
    """Look after certificates, on the machine of the head-end and with or without it running.

    A head-end that runs takes what is changed within seconds. `maker` and `factory` are a
    manufacturer's own tools and need no head-end.
    """


pki.add_command(maker)
pki.add_command(factory)


def installation(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which installation, as one argument ``opened``."""

    @config_option
    @state_option
    @set_option
    @functools.wraps(command)
    def wrapped(
        config: Path | None, state: Path | None, assignments: tuple[str, ...], **others: Any
    ) -> None:
        from openami.headend.offline import open_offline

        command(opened=open_offline(existing(config, assignments, state)), **others)

    return wrapped


@pki.command()
@installation
@json_option
def show(opened: AbstractContextManager[Offline], as_json: bool) -> None:
    """Show the authorities and for how long they are good."""
    from openami.crypto.certificates import fingerprint

    now = utc(time.time())
    with opened as home:
        found = home.pki.authorities()
    rows = [
        {
            "authority": name,
            "fingerprint": fingerprint(certificate).hex(),
            "not_after": certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
            "days_left": (certificate.not_valid_after_utc - now) // timedelta(days=1),
        }
        for name, certificate in found.items()
    ]
    _print(rows, as_json=as_json)


@pki.command(
    short_help="Let an authority be followed by a new one.",
    epilog=examples("openami pki follow devices --why 'ends in 2046'"),
)
@click.argument("authority", type=click.Choice(FOLLOWED))
@click.option("--why", required=True, help="The reason in words, for the audit log.")
@installation
@json_option
def follow(
    opened: AbstractContextManager[Offline], authority: str, why: str, as_json: bool
) -> None:
    """Make a new AUTHORITY, with a new key, that signs from now on.

    What the one before has signed is good until it ends, and is renewed by the new one.
    """
    from openami.headend.registry import reason as words

    with opened as home:
        made = home.follow(authority, who=who(), why=words(why))
    if as_json:
        emit_json({"authority": made})
    else:
        note(f"{made} signs from now on")


@pki.group()
def anchors() -> None:
    """Look after the manufacturers that are trusted."""


@anchors.command("list")
@installation
@json_option
def list_anchors(opened: AbstractContextManager[Offline], as_json: bool) -> None:
    """List the manufacturers' trust anchors."""
    with opened as home:
        found = home.pki.anchors()
    columns = ("manufacturer", "fingerprint", "list_ends", "added", "who")
    _print([_anchor(each) for each in found], as_json=as_json, columns=columns)


@anchors.command(
    short_help="Trust a manufacturer.",
    epilog=examples("openami pki anchors add 'Example Works' anchor.pem"),
)
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@installation
@json_option
def add(opened: AbstractContextManager[Offline], name: str, file: Path, as_json: bool) -> None:
    """Trust the manufacturer NAME, whose root certificate is in FILE (PEM or DER)."""
    with opened as home, _naming(file):
        anchor = home.pki.add_anchor(name, _read(file), who=who())
    _tell(anchor, f"{anchor.fingerprint} is trusted", as_json=as_json)


@anchors.command(short_help="Trust a manufacturer no longer.")
@click.argument("fingerprint")
@installation
@json_option
def remove(opened: AbstractContextManager[Offline], fingerprint: str, as_json: bool) -> None:
    """Trust the certificate with FINGERPRINT no longer; devices that have registered stay."""
    with opened as home:
        anchor = home.pki.remove_anchor(fingerprint, who=who())
    _tell(anchor, f"{anchor.fingerprint} is not trusted any more", as_json=as_json)


@anchors.command("crl", short_help="Take what a manufacturer has revoked.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@installation
@json_option
def anchor_list(opened: AbstractContextManager[Offline], file: Path, as_json: bool) -> None:
    """Take a manufacturer's own list of what it has revoked from FILE (CRL in PEM or DER).

    Once there is one, it has to be followed by another before it ends: until then the
    manufacturer's devices can not register.
    """
    with opened as home, _naming(file):
        anchor = home.pki.take_anchor_list(_read(file), who=who())
    assert anchor.list_ends is not None
    _tell(anchor, f"the list is in force until {isoformat(anchor.list_ends)}", as_json=as_json)


@pki.command("list")
@click.option("--kind", type=click.Choice(["device", "server", "operator"]), help="Only these.")
@click.option("--subject", help="Only of this device, server or operator.")
@click.option("--revoked", is_flag=True, help="Only revoked ones.")
@click.option(
    "--expired/--unexpired", default=None, help="Only those whose time is over, or is not."
)
@click.option(
    "--ending", type=click.FloatRange(0), metavar="DAYS",
    help="Only those that are good now, and not any more in so many days.",
)  # fmt: skip
@click.option("--most", type=click.IntRange(1), default=1000, show_default=True, help="How many.")
@installation
@json_option
def list_certificates(
    opened: AbstractContextManager[Offline],
    kind: str | None,
    subject: str | None,
    revoked: bool,
    expired: bool | None,
    ending: float | None,
    most: int,
    as_json: bool,
) -> None:
    """List what was issued, the last first."""
    from openami.fleet.certificates import CertificateKind

    with opened as home:
        rows = list(
            _certificates(
                home.pki,
                most,
                kind=CertificateKind(kind) if kind else None,
                subject=subject,
                revoked=True if revoked else None,
                expired=expired,
                ending_days=ending,
            )
        )
    columns = ("serial", "kind", "subject", "issued", "not_after", "days_left", "revoked", "reason")
    _print(rows, as_json=as_json, columns=columns)


@pki.command(
    short_help="Revoke a certificate for good.",
    epilog=examples("openami pki revoke 5c0ffee1 --why 'stolen from its pole'"),
)
@click.argument("serial")
@click.option("--reason", default="unspecified", show_default=True,
              help="By a name of RFC 5280, such as keyCompromise or superseded.")  # fmt: skip
@click.option("--why", required=True, help="The reason in words, for the audit log.")
@installation
@json_option
def revoke(
    opened: AbstractContextManager[Offline], serial: str, reason: str, why: str, as_json: bool
) -> None:
    """Revoke the certificate SERIAL for good: nobody gets in with it any more."""
    from openami.headend.registry import reason as words
    from openami.headend.security.issued import serial_number

    number = serial_number(serial)
    with opened as home:
        home.pki.revoke(number, reason, when=time.time(), who=who(), why=words(why))
        record = home.pki.certificate(number)
    if as_json:
        emit_json(_row(record, time.time()))
    else:
        note(f"{number:x} of {record.subject} has been revoked: {record.reason}")


@pki.command(
    short_help="Write the list of what an authority has revoked (CRL).",
    epilog=examples("openami pki crl devices --out devices.crl"),
)
@click.argument("authority")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="File that gets the list, in DER.")  # fmt: skip
@installation
def crl(opened: AbstractContextManager[Offline], authority: str, out: Path) -> None:
    """Write the list of what AUTHORITY has revoked (CRL).

    AUTHORITY is `devices`, or another of `show`.
    """
    with opened as home:
        made = home.pki.crl(authority)
    out.write_bytes(made)
    note(f"{out}: what {authority} has revoked")


@pki.command(epilog=examples("openami pki operator anna --out anna"))
@click.argument("name")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False),
              help="Folder that gets certificate.pem, and key.pem unless there is a request.")  # fmt: skip
@click.option("--request", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="PKCS #10 in PEM: the operator's own key, which then never leaves its place.")  # fmt: skip
@installation
@json_option
def operator(
    opened: AbstractContextManager[Offline],
    name: str,
    out: Path,
    request: Path | None,
    as_json: bool,
) -> None:
    """Issue a certificate for the operator NAME."""
    from openami.crypto.requests import requested_key
    from openami.headend.security.authorities import new_key
    from openami.headend.security.issued import key_pem

    own = new_key()
    key = requested_key(_read(request)) if request else own.public_key()
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    with opened as home:
        issued = home.pki.issue_operator(name, key, who=who(), now=time.time())
        record = home.pki.certificate(issued.serial)
    if request is None:
        write_private(out / "key.pem", key_pem(own))
    write_private(out / "certificate.pem", issued.pem())
    if as_json:
        emit_json({**_row(record, time.time()), "folder": str(out)})
    else:
        note(f"{name}: certificate {issued.serial:x} in {out}")


def _certificates(pki: Pki, most: int, **which: Any) -> Iterator[dict[str, Any]]:
    after: str | None = None
    left, now = most, time.time()
    while left > 0:
        page = pki.certificates(after=after, limit=min(left, 1000), **which)
        yield from (_row(record, now) for record in page.items)
        left, after = left - len(page.items), page.next
        if after is None:
            return


def _anchor(anchor: TrustAnchor) -> dict[str, Any]:
    return {
        "manufacturer": anchor.manufacturer,
        "fingerprint": anchor.fingerprint,
        "list_ends": None if anchor.list_ends is None else isoformat(anchor.list_ends),
        "added": isoformat(anchor.added),
        "who": anchor.who,
    }


def _tell(anchor: TrustAnchor, words: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(_anchor(anchor))
    else:
        note(f"{anchor.manufacturer}: {words}")


def _row(record: CertificateRecord, now: float) -> dict[str, Any]:
    return {
        "serial": f"{record.serial:x}",
        "kind": record.kind.value,
        "subject": record.subject,
        "issued": isoformat(record.issued),
        "not_after": isoformat(record.not_after),
        "days_left": int(record.days_left(now)),
        "revoked": None if record.revoked is None else isoformat(record.revoked),
        "reason": record.reason,
    }


def _print(
    rows: list[dict[str, Any]], *, as_json: bool, columns: tuple[str, ...] | None = None
) -> None:
    if as_json:
        for row in rows:
            emit_json(row)
        return
    names = columns or tuple(rows[0])
    table(names, [[row[name] for name in names] for row in rows])


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Have what is wrong with a file say which file it is."""
    from openami.headend.errors import RequestError

    try:
        yield
    except RequestError as error:
        error.message = f"{file}: {error.message}"
        raise


def _read(file: Path) -> bytes:
    with file.open("rb") as source:
        return source.read(MAX_FILE)
