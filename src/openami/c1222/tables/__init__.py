"""ANSI C12.19 (IEEE 1377): the tables that a device's data stand in.

``Tables`` is made of a device's ST-00 and learns its dimension tables; then every table that is
described has a layout, by which octets become values and values octets, whole or in part.
"""

from openami.c1222.tables.decades import STANDARD
from openami.c1222.tables.description import Description, parse_description
from openami.c1222.tables.formats import CharFormat, Formats, IntFormat, NiFormat, TimeFormat
from openami.c1222.tables.ids import TableId, standard
from openami.c1222.tables.layout import (
    Span,
    element_at,
    elements,
    from_json,
    locate,
    span,
    to_json,
    to_text,
)
from openami.c1222.tables.memory import Pending, TableMemory
from openami.c1222.tables.procedures import (
    EntryList,
    Procedure,
    ProcedureRequest,
    ProcedureResponse,
    Result,
    Selector,
)
from openami.c1222.tables.profile import ProfileColumns, ProfileSet
from openami.c1222.tables.service import serve
from openami.c1222.tables.tables import Tables

__all__ = [
    "STANDARD",
    "CharFormat",
    "Description",
    "EntryList",
    "Formats",
    "IntFormat",
    "NiFormat",
    "Pending",
    "Procedure",
    "ProcedureRequest",
    "ProcedureResponse",
    "ProfileColumns",
    "ProfileSet",
    "Result",
    "Selector",
    "Span",
    "TableId",
    "TableMemory",
    "Tables",
    "TimeFormat",
    "element_at",
    "elements",
    "from_json",
    "locate",
    "parse_description",
    "serve",
    "span",
    "standard",
    "to_json",
    "to_text",
]
