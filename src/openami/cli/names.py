"""Attributes and times as they are named on the command line."""

from __future__ import annotations

from openami.core.clock import parse_utc
from openami.core.errors import ConfigError
from openami.core.obis import Obis
from openami.dlms.references import AttributeRef


def parse_name(text: str) -> AttributeRef | Obis:
    """Return what a name means: an attribute, or a logical name alone.

    Raises:
        ConfigError: ``config.name``, it has neither form.
    """
    parts = text.split("/")
    try:
        if len(parts) == 1:
            return Obis.parse(text)
        class_id, obis, attribute = parts
        ref = AttributeRef(int(class_id), Obis.parse(obis), int(attribute))
    except ValueError:
        ref = None
    # A class is a long-unsigned, an attribute an integer (Green Book, Cosem-Attribute-Descriptor).
    if ref is None or not (0 <= ref.class_id <= 0xFFFF and -0x80 <= ref.attribute <= 0x7F):
        raise ConfigError(
            f"{text!r} is neither a logical name nor CLASS/LOGICAL_NAME/ATTRIBUTE",
            hint="such as 1.0.1.8.0.255 or 3/1.0.1.8.0.255/2",
            code="config.name",
        )
    return ref


def parse_time(text: str | None) -> float | None:
    """Return the time of an option, in seconds UTC.

    Raises:
        ConfigError: it is none.
    """
    if text is None:
        return None
    try:
        return parse_utc(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time", hint="such as 2026-01-31T12:00:00Z") from error
