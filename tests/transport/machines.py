"""Small machines for the tests of what runs machines."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openami.dlms.link import Machine


class LineMachine:
    """Each line received is an event; answers with the line in capitals, if told to.

    A line ``boom`` is a bug. A timer of ``period`` seconds gives the event ``tick``.
    """

    def __init__(self, *, answers: bool = False, period: float | None = None) -> None:
        self._answers = answers
        self._period = period
        self._due: float | None = None
        self._buffer = b""
        self._out: list[bytes] = []
        self._events: deque[str] = deque()
        self.ended = False

    def say(self, line: str) -> None:
        self._out.append(line.encode() + b"\n")

    def receive_data(self, data: bytes, *, now: float) -> None:
        if self._period is not None and self._due is None:
            self._due = now + self._period
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if line == b"boom":
                raise ZeroDivisionError("boom")
            self._events.append(line.decode("latin-1"))
            if self._answers:
                self._out.append(line.upper() + b"\n")

    def receive_eof(self, *, now: float) -> None:
        self.ended = True
        self._events.append("end")

    def data_to_send(self) -> tuple[bytes, ...]:
        out, self._out = tuple(self._out), []
        return out

    def next_event(self) -> str | None:
        return self._events.popleft() if self._events else None

    def next_timer(self) -> float | None:
        return self._due

    def handle_timer(self, *, now: float) -> None:
        if self._due is not None and self._period is not None and now >= self._due:
            self._events.append("tick")
            self._due += self._period


def as_machine(machine: LineMachine) -> Machine[str]:
    """Let the type checker see that it is one."""
    return machine
