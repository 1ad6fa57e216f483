"""Serial lines and ptys as channels."""

from __future__ import annotations

import asyncio
import os
import tty
from typing import TYPE_CHECKING, Final

import serial

from openami.core.errors import ConfigError
from openami.transport.channel import Channel
from openami.transport.failures import transport_error

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_SIZE: Final = 64 * 1024

_WRITE_LIMIT: Final = 256 * 1024
"""Octets unsent before a writer is held up: a few of the largest APDUs."""


class FdChannel(Channel):
    """A file descriptor of a terminal, non-blocking; closed with the channel.

    Args:
        fd: the descriptor.
        name: of the line.
        on_close: closes whatever else belongs to the line, and the descriptor.
        answers: see ``Channel``.
    """

    def __init__(
        self, fd: int, name: str, *, on_close: Callable[[], None], answers: bool = False
    ) -> None:
        super().__init__(name, answers=answers)
        self._fd = fd
        self._on_close = on_close
        self._unsent = bytearray()
        self._closing = False
        self._shut_down = False
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    @property
    def pending(self) -> bool:
        return bool(self._unsent)

    def _send(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
        else:
            sent = self._write(data)
            if sent == len(data):
                return
            self._unsent += data[sent:]
            self._loop.add_writer(self._fd, self._flush)
        if len(self._unsent) > _WRITE_LIMIT:
            self._stall()

    def _write(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as exc:
            self._break(exc)
            return len(data)

    def _flush(self) -> None:
        del self._unsent[: self._write(self._unsent)]
        if self._unsent:
            return
        self._loop.remove_writer(self._fd)
        if self._closing:
            self._shut()
        else:
            self._flow()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError as exc:
            self._break(exc)
            return
        if data:
            self._feed(data)
        else:
            self.close()

    def _break(self, exc: OSError) -> None:
        """The device has gone."""
        self._unsent.clear()
        self._loop.remove_writer(self._fd)
        self._shut()
        self._finish(transport_error(exc, self.name))

    def _close(self) -> None:
        self._closing = True
        self._loop.remove_reader(self._fd)
        if not self._unsent:
            self._shut()

    def _shut(self) -> None:
        if self._shut_down:
            return
        self._shut_down = True
        self._loop.remove_reader(self._fd)
        self._on_close()

    def _pause(self) -> None:
        self._loop.remove_reader(self._fd)

    def _resume(self) -> None:
        self._loop.add_reader(self._fd, self._read)


def open_serial(
    device: str, *, baud: int = 9600, parity: str = "N", data_bits: int = 8, stop_bits: int = 1
) -> FdChannel:
    """Open a serial device, for this process alone.

    Args:
        device: its path.
        baud: bits a second.
        parity: ``N``, ``E`` or ``O``.
        data_bits: 7 or 8.
        stop_bits: 1 or 2.

    Raises:
        TransportError: ``transport.missing``, ``transport.denied``, ``transport.in-use``.
        ConfigError: the device knows no such setting.
    """
    try:
        port = serial.Serial(
            device,
            baudrate=baud,
            parity=parity,
            bytesize=data_bits,
            stopbits=stop_bits,
            timeout=0,
            exclusive=True,
        )
    except ValueError as exc:
        raise ConfigError(f"{device}: {exc}", code="config.serial") from exc
    except OSError as exc:
        raise transport_error(exc, f"opening {device}") from exc
    return FdChannel(port.fileno(), f"serial {device}", on_close=port.close)


def open_pty() -> tuple[FdChannel, str]:
    """Make a pseudo terminal: return our end, and the path that a peer opens as its serial device.

    Peers may come and go; the channel stays open.
    """
    ours, theirs = os.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    path = os.ttyname(theirs)

    def close() -> None:
        os.close(ours)
        os.close(theirs)

    return FdChannel(ours, f"pty {path}", on_close=close, answers=True), path
