"""The manufacturer's tables and procedures, and which of all the meter has.

What they say is in docs/reference/c1219.md, "What the meter serves".
"""

from __future__ import annotations

from typing import Final

from openami.c1222.tables import STANDARD, TableId, parse_description
from openami.meter.board import BLOCK_SIZE, SLOT

IMAGE_STATUS: Final = TableId(0, manufacturer=True)
IMAGE: Final = TableId(1, manufacturer=True)
SUPPLY: Final = TableId(2, manufacturer=True)
NETWORK: Final = TableId(3, manufacturer=True)

IMAGE_INITIATE: Final = (True, 0)
IMAGE_VERIFY: Final = (True, 1)
IMAGE_ACTIVATE: Final = (True, 2)

IDENTIFIER_OCTETS: Final = 64  # of an image: as class 18 takes it
REFUSAL_OCTETS: Final = 40  # the longest of our codes has 31
TITLE_OCTETS: Final = 80  # characters of an ApTitle that is absolute, with room

DESCRIPTION: Final = STANDARD.joined(
    parse_description(f"""
table MT0 IMAGE_STATUS
    STATUS        u8
    TRIAL         u8
    BLOCK_SIZE    u32
    IMAGE_SIZE    u32
    FIRST_MISSING u32
    BLOCKS        set({SLOT // BLOCK_SIZE // 8})
    IDENTIFIER    octets({IDENTIFIER_OCTETS})
    RUNNING       text({IDENTIFIER_OCTETS})
    REFUSAL       text({REFUSAL_OCTETS})

table MT1 IMAGE
    OCTETS tail({SLOT})

table MT2 SUPPLY
    CONNECTED u8
    STATE     u8
    MODE      u8

table MT3 NETWORK
    TITLE     text({TITLE_OCTETS})
    REGISTRAR text({TITLE_OCTETS})
    JOINED    u8
    UNTIL     ltime

procedure MP0 IMAGE_INITIATE
    SIZE       u32
    IDENTIFIER tail({IDENTIFIER_OCTETS})
procedure MP1 IMAGE_VERIFY
procedure MP2 IMAGE_ACTIVATE
    AT ltime
""")
)
