"""What a relay is told once, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from openami.c1222.codes import SecurityMode
from openami.c1222.network.flights import Limits
from openami.c1222.node import NodeEvent
from openami.c1222.node.registering import RegisteringConfig, RegisteringEvent
from openami.c1222.security import NO_KEYS, Keys

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from openami.c1222.titles import ApTitle


@dataclass(frozen=True, slots=True)
class Above:
    """The way up.

    Attributes:
        parent: the neighbour that everything unknown is passed on to.
        registering: how the relay registers itself, and with whom: its registrar is who answers
            the registrations of all nodes behind it.
    """

    parent: Hashable
    registering: RegisteringConfig


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """How a relay behaves.

    Attributes:
        title: its ApTitle.
        keys: its keys, for what is said to itself.
        least: messages to itself that are protected less are not served.
        master: it registers nodes itself.
        above: the way up; None: there is none.
        routes: ways that are configured, by the title, or the beginning of titles.
        limits: what it bears.
    """

    title: ApTitle
    keys: Keys = field(default=NO_KEYS)
    least: SecurityMode = SecurityMode.CLEAR
    master: bool = False
    above: Above | None = None
    routes: Mapping[ApTitle, Hashable] = field(default_factory=dict)
    limits: Limits = field(default=Limits())


@dataclass(frozen=True, slots=True)
class RouteLearned:
    """A node is registered, here or further up, and ``source`` is the way to it.

    ``renewed``: it was so before.
    """

    title: ApTitle
    source: Hashable
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class RouteLost:
    """A node is registered no more; ``expired``: it did not say so, but its time is over."""

    title: ApTitle
    expired: bool = False


@dataclass(frozen=True, slots=True)
class MessageDropped:
    """A message was not passed on.

    Attributes:
        source: where it came from.
        code: ``protocol.decode``; ``c1222.answer``: nobody waits for it; ``c1222.circle``: it came
            too often; ``c1222.uat``, ``c1222.netr``, ``c1222.bsy``: what its sender was told;
            ``c1222.nett``: no answer came in time.
    """

    source: Hashable
    code: str


RelayEvent = RouteLearned | RouteLost | MessageDropped | NodeEvent | RegisteringEvent
