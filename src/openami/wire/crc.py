"""Checksums."""

from __future__ import annotations

import fastcrc


def crc16_x25(data: bytes) -> int:
    """Return the HDLC frame check of ``data`` (ISO/IEC 13239): sent low octet first."""
    return fastcrc.crc16.ibm_sdlc(data)


def crc32(data: bytes) -> int:
    """Return the frame check of 32 bits of ``data`` (ISO/IEC 13239, 4.2.5.3)."""
    return fastcrc.crc32.iso_hdlc(data)
