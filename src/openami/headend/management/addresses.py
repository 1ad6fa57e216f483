"""What people may ask of nodes: addresses in their one form, values that can be meant."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from openami.core.errors import SecurityError
from openami.fleet.desired import ABSENT, MAX_URI, MAX_VALUE, Setting, is_secret
from openami.fleet.tasks import Command
from openami.headend.errors import RequestError
from openami.omadm.objects.catalog import device_schema
from openami.omadm.tree.acl import Verb
from openami.omadm.tree.node import Format, check_value
from openami.omadm.tree.refusal import TreeRefusedError
from openami.omadm.tree.uri import PARTS, Listing, Uri, UriLimits, format_path, parse_uri

if TYPE_CHECKING:
    from openami.omadm.tree.schema import Rule

_LIMITS: Final = UriLimits()
_ACCOUNTS: Final = "DMAcc"


def node_address(text: str) -> str:
    """Return the address of a node in its one form.

    Raises:
        RequestError: ``request.uri``, it is none.
        SecurityError: ``dm.secret``, a password or a nonce.
    """
    uri = _parsed(text)
    if not uri.plain or not uri.path:
        raise RequestError(f"{text} is no node", code="request.uri", hint="such as ./AMI/Link")
    return format_path(uri.path)


def command_to_get(text: str) -> Command:
    """Return the command to read a node, a property of it (``?prop=``) or a listing (``?list=``).

    Raises:
        RequestError: ``request.uri``, it is no address.
        SecurityError: ``dm.secret``, a password or a nonce.
    """
    uri = _parsed(text)
    return Command(format_path(uri.path) + _query(uri))


def command_to_exec(text: str, data: str) -> Command:
    """Return the command to execute a node; as ``command_to_get``."""
    if len(data) > MAX_VALUE:
        raise RequestError(f"data has at most {MAX_VALUE} characters", code="request.value")
    return Command(node_address(text), Format.CHR.value if data else "", data)


def command_to_set(setting: Setting) -> Command:
    """Return the command for a setting."""
    return Command(setting.uri, setting.format, setting.value)


def setting(
    address: str, value: str | None, *, form: str | None = None, unchecked: bool = False
) -> Setting:
    """Return what a node is to be.

    Args:
        address: of a leaf; of any node that is not to be.
        value: as the leaf has it, base64 for ``bin``; None: there is to be no such node.
        form: its format; None: that of the object's description, or characters.
        unchecked: another maker's object, or a value that our description does not allow.

    Raises:
        RequestError: ``request.uri`` or ``request.value``, no device would take it.
        SecurityError: ``dm.secret``, a password or a nonce.
    """
    uri = node_address(address)
    rule = device_schema().rule(_parsed(uri).path)
    if rule is None and not unchecked:
        raise RequestError(
            f"no object has a node {uri}",
            code="request.uri",
            hint="see the reference of management objects, or ask for it unchecked",
        )
    if value is None:
        if not unchecked and rule is not None and Verb.DELETE not in rule.access:
            raise RequestError(f"{uri} can not be removed", code="request.value")
        return Setting(uri, ABSENT)
    if len(value) > MAX_VALUE:
        raise RequestError(f"a value has at most {MAX_VALUE} characters", code="request.value")
    kind = _format(uri, rule, form, unchecked=unchecked)
    return Setting(uri, kind.value, _value(uri, rule, kind, value, unchecked=unchecked))


def wish(
    address: str, value: str | None, *, form: str | None = None, unchecked: bool = False
) -> Setting:
    """Return a setting that is to last; accounts are the registration's to make and to change.

    Raises:
        RequestError: as ``setting``; ``request.account``, the node belongs to an account.
        SecurityError: ``dm.secret``, a password or a nonce.
    """
    found = setting(address, value, form=form, unchecked=unchecked)
    if _parsed(found.uri).path[0].casefold() == _ACCOUNTS.casefold():
        raise RequestError(
            "accounts come with the registration, and are not wished for",
            code="request.account",
            hint="a job may set what is no password",
        )
    return found


def _parsed(text: str) -> Uri:
    try:
        uri = parse_uri(text, _LIMITS)
    except TreeRefusedError as error:
        raise RequestError(f"{text[:80]}: {error.message}", code="request.uri") from error
    address = format_path(uri.path)
    if len(address) > MAX_URI:
        raise RequestError(f"an address has at most {MAX_URI} characters", code="request.uri")
    if is_secret(address):
        raise SecurityError(
            "passwords and nonces of accounts stay where they are", code="dm.secret"
        )
    return uri


def _query(uri: Uri) -> str:
    if uri.prop is not None:
        return f"?prop={uri.prop}"
    if uri.listing is None:
        return ""
    parts = "" if uri.parts == PARTS else "".join(f"+{part}" for part in sorted(uri.parts))
    return f"?list={uri.listing}{parts if uri.listing is Listing.TNDS else ''}"


def _format(uri: str, rule: Rule | None, form: str | None, *, unchecked: bool) -> Format:
    known = None if rule is None or rule.free else rule.format
    try:
        kind = known or Format.CHR if form is None else Format(form)
    except ValueError as error:
        names = ", ".join(sorted(Format))
        raise RequestError(f"{form} is no format: {names}", code="request.value") from error
    if kind is Format.NODE:
        raise RequestError(f"{uri} has no value", code="request.value")
    if not unchecked and rule is not None and rule.access.isdisjoint({Verb.ADD, Verb.REPLACE}):
        raise RequestError(f"{uri} is not for a server to set", code="request.value")
    if not unchecked and known not in {None, kind}:
        raise RequestError(f"{uri} is a {known}", code="request.value")
    return kind


def _value(uri: str, rule: Rule | None, kind: Format, value: str, *, unchecked: bool) -> str:
    try:
        if kind is Format.BIN:
            base64.b64decode(value, validate=True)
        else:
            check_value(kind, value)
        if not unchecked and rule is not None and rule.check is not None:
            rule.check(value)
    except (ValueError, TreeRefusedError) as error:
        raise RequestError(f"{uri}: {error}", code="request.value") from error
    return value
