"""Checksums."""

from __future__ import annotations

import fastcrc


def crc16_x25(data: bytes) -> int:
    """Return the HDLC frame check of ``data`` (ISO/IEC 13239): sent low octet first."""
    return fastcrc.crc16.ibm_sdlc(data)
