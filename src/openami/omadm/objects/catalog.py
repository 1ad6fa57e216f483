"""The objects of a device, from the DDF files of this package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from openami.omadm.objects.ami import CHECKS as AMI_CHECKS
from openami.omadm.objects.dmacc import CHECKS as DMACC_CHECKS
from openami.omadm.objects.sched import CHECKS as SCHED_CHECKS
from openami.omadm.tree.schema import Rule, Schema, read_ddf, with_checks
from openami.omadm.xml import parse_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.omadm.tree.schema import Check

OBJECTS: Final = ("devinfo", "devdetail", "dmacc", "inbox", "fumo", "scomo", "sched", "ami")
_CHECKS: Final[Mapping[str, Mapping[str, Check]]] = MappingProxyType(
    {"ami": AMI_CHECKS, "dmacc": DMACC_CHECKS, "sched": SCHED_CHECKS}
)


def ddf(name: str) -> bytes:
    """Return the DDF document of one of ``OBJECTS``."""
    return files(__package__).joinpath("ddf", f"{name}.xml").read_bytes()


@cache
def rule_of(name: str) -> Rule:
    """Return the rules of one of ``OBJECTS``, with the checks of its values."""
    return with_checks(read_ddf(parse_xml(ddf(name))), _CHECKS.get(name, {}))


@cache
def device_schema() -> Schema:
    """Return the rules of a whole device."""
    return Schema.of(*(rule_of(name) for name in OBJECTS))
