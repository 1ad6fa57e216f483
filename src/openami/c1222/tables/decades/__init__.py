"""The standard's tables and procedures, in the language of ``openami.c1222.tables.description``.

What is here, from how many sources, and what is not known, is listed in docs/reference/c1219.md.
"""

from __future__ import annotations

from typing import Final

from openami.c1222.tables.decades.calendar import TIME
from openami.c1222.tables.decades.general import CONFIGURATION, SOURCES
from openami.c1222.tables.decades.logs import LOGS, PROFILE, PROFILE_SET
from openami.c1222.tables.decades.procedures import PROCEDURES
from openami.c1222.tables.decades.registers import REGISTERS, SECURITY
from openami.c1222.tables.description import parse_description

__all__ = ["STANDARD"]

_SETS = [PROFILE_SET.format(number, 3 + number) for number in (1, 2, 3, 4)]
STANDARD: Final = parse_description(
    "".join((CONFIGURATION, SOURCES, REGISTERS, SECURITY, TIME, PROFILE, *_SETS, LOGS, PROCEDURES))
)
"""Every table and procedure of the standard that is known here."""
