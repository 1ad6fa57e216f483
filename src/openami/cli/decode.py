"""``openami decode``: captured octets to readable trees."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from openami.cli.c1222_keys import gather_numbered, numbered_key_file_option, numbered_key_option
from openami.cli.options import examples
from openami.cli.output import emit_json, json_option
from openami.cli.secrets import gather, key_file_option, key_option
from openami.core.errors import ConfigError, DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openami.core.inspection import Node
    from openami.dlms.inspect import Inspector

    Dissect = Callable[[Inspector, bytes], Node]

# A capture that somebody reads by eye; longer ones are for a packet analyser.
MAX_INPUT: Final = 16 * 2**20
_INPUT: Final = "HEX is the octets in hexadecimal digits, FILE a file of them; - and nothing are standard input."
_HEX_LINE: Final = re.compile(r"(?:0[xX])?((?:[0-9A-Fa-f]{2}[\s:,-]*)+)")


def _hex_line(line: str) -> bytes | None:
    """Return the octets of a line of hexadecimal digits in any common spelling."""
    text = line.replace("0x", "").replace("0X", "").strip()
    if not _HEX_LINE.fullmatch(text):
        return None
    return bytes.fromhex(re.sub(r"[\s:,-]", "", text))


def messages(content: bytes, *, join: bool) -> Iterator[bytes]:
    """Yield the messages of an input: one for each line of hexadecimal text, or all of it.

    Blank lines and what follows ``#`` do not count. Content that is not hexadecimal text is taken
    as the octets themselves.
    """
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        yield content
        return
    try:
        lines = content.decode("ascii").splitlines()
    except UnicodeDecodeError:
        lines = ["\0"]
    if any("\0" in line for line in lines):
        yield content
        return
    stripped = [line.partition("#")[0].strip() for line in lines]
    octets = [_hex_line(line) for line in stripped if line]
    if any(line is None for line in octets):
        raise ConfigError(
            "the input is neither hexadecimal text nor binary",
            hint="one message for each line, such as C0 01 C1 00 08 …",
            code="decode.input",
        )
    known = [line for line in octets if line]
    if join:
        yield b"".join(known)
    else:
        yield from known


def read_input(source: str | None) -> bytes:
    """Return what SOURCE names: hexadecimal digits, a file, or standard input.

    Raises:
        ConfigError: ``decode.input``, it is nothing of these, or too long.
    """
    if source is None or source == "-":
        content: bytes = sys.stdin.buffer.read(MAX_INPUT + 1)
    elif _HEX_LINE.fullmatch(source.strip()):
        content = source.encode()
    else:
        try:
            with Path(source).open("rb") as file:
                content = file.read(MAX_INPUT + 1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no such file"
            raise ConfigError(
                f"{source[:80]!r} is neither hexadecimal digits nor a file that can be read: {why}",
                code="decode.input",
            ) from error
    if len(content) > MAX_INPUT:
        raise ConfigError(f"more than {MAX_INPUT} octets", code="decode.input")
    if not content.strip():
        raise ConfigError("there is nothing to decode", code="decode.input")
    return content


@click.group(
    epilog=examples(
        "openami decode dlms C001C100080000010000FF0200",
        "openami decode hdlc capture.txt --key-file keys.toml --title 4D4D4D0000000001",
        "openami decode wrapper --json - < capture.bin",
        "openami decode c1222 capture.txt --key-file keys.toml",
    )
)
def decode() -> None:
    """Show captured octets as a readable tree.

    The input is hexadecimal digits on the command line, a FILE (hexadecimal text with one message
    for each line, or the octets themselves), or - for standard input. What is ciphered is
    deciphered with --key NAME=HEX or --key-file; system titles and dedicated keys are learned
    from the messages before.
    """


def _command(name: str, what: str, dissect: Dissect) -> None:
    @decode.command(name, help=f"Show {what}.\n\n{_INPUT}", short_help=f"Show {what}.")
    @click.argument("source", metavar="[HEX|FILE|-]", required=False)
    @key_option
    @key_file_option
    @click.option(
        "--title", metavar="HEX", help="The sender's system title, where the octets lack it."
    )
    @click.option("--join", is_flag=True, help="Take all lines as one run of octets.")
    @json_option
    def command(
        source: str | None,
        keys: tuple[str, ...],
        key_file: Path | None,
        title: str | None,
        join: bool,
        as_json: bool,
    ) -> int:
        from openami.dlms.inspect import Inspector
        from openami.dlms.security import Keys

        secrets = gather(keys, key_file=key_file, system_title=title)
        inspector = Inspector(
            Keys(**secrets.keys),
            client_title=secrets.system_title,
            server_title=secrets.system_title,
        )
        octets = messages(read_input(source), join=join)
        return _show(octets, lambda each: dissect(inspector, each), as_json=as_json)


def _plain_command(name: str, what: str, function: str) -> None:
    """Add a command for messages that are not ciphered."""

    @decode.command(name, help=f"Show {what}.\n\n{_INPUT}", short_help=f"Show {what}.")
    @click.argument("source", metavar="[HEX|FILE|-]", required=False)
    @click.option("--join", is_flag=True, help="Take all lines as one run of octets.")
    @json_option
    def command(source: str | None, join: bool, as_json: bool) -> int:
        from openami.omadm import inspect

        octets = messages(read_input(source), join=join)
        return _show(octets, getattr(inspect, function), as_json=as_json)


@decode.command(
    "c1222",
    help=f"Show messages of ANSI C12.22, one after another.\n\nAn answer is read by the request before it.\n\n{_INPUT}",
    short_help="Show messages of ANSI C12.22.",
)
@click.argument("source", metavar="[HEX|FILE|-]", required=False)
@numbered_key_option
@numbered_key_file_option
@click.option("--join", is_flag=True, help="Take all lines as one run of octets.")
@json_option
def _c1222(
    source: str | None, keys: tuple[str, ...], key_file: Path | None, join: bool, as_json: bool
) -> int:
    from openami.c1222.inspect import Inspector
    from openami.c1222.security import Keys
    from openami.c1222.stream import split_stream

    inspector = Inspector(Keys(gather_numbered(keys, key_file)))
    runs = messages(read_input(source), join=join)
    octets = (each for run in runs for each in split_stream(run))
    return _show(octets, inspector.message, as_json=as_json)


def _show(octets: Iterator[bytes], dissect: Callable[[bytes], Node], *, as_json: bool) -> int:
    """Print the tree of each message; return the exit status."""
    from openami.core.inspection import to_dict, to_text

    failed = 0
    for number, each in enumerate(octets):
        try:
            node = dissect(each)
        except DecodeError as error:
            failed += 1
            click.echo(f"error[{error.code}]: message {number + 1}: {error.message}", err=True)
            continue
        if as_json:
            emit_json(to_dict(node))
        else:
            click.echo(("\n" if number else "") + to_text(node))
    return DecodeError.exit_status if failed else 0


def _dlms(inspector: Inspector, octets: bytes) -> Node:
    return inspector.apdu(octets)


def _hdlc(inspector: Inspector, octets: bytes) -> Node:
    from openami.dlms.inspect.framing import HdlcInspector

    return HdlcInspector(inspector).frames(octets)


def _wrapper(inspector: Inspector, octets: bytes) -> Node:
    from openami.dlms.inspect.framing import dissect_packets

    return dissect_packets(octets, inspector)


_command("dlms", "xDLMS and ACSE APDUs", _dlms)
_command("hdlc", "HDLC frames (IEC 62056-46) and the APDUs in them", _hdlc)
_command("wrapper", "packets of the TCP and UDP wrapper (IEC 62056-47)", _wrapper)
_plain_command("syncml", "OMA DM messages and management trees in XML", "inspect_syncml")
_plain_command("wbxml", "OMA DM messages and management trees in WBXML", "inspect_wbxml")
_plain_command("notification", "notifications of OMA DM (package 0)", "inspect_notification")
