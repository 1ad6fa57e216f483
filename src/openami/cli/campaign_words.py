"""How campaigns are told on a terminal, and followed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from openami.cli.api import ApiError, get_json
from openami.cli.output import emit_json, moment, note, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openami.transport.http import HttpClient

POLL_S: Final = 1.0  # the head-end tells of a campaign at most once a second
OVER: Final = ("finished", "stopped", "emergency-stopped")


def said(item: Mapping[str, Any]) -> str:
    """Return the state of a campaign, with its cause."""
    cause = item["cause"]
    return (
        item["state"] if cause is None else f"{item['state']} ({cause['cause']}; {cause['step']})"
    )


def states_words(item: Mapping[str, Any]) -> str:
    """Return how many devices are how far."""
    return ", ".join(f"{count:,} {state}" for state, count in item["states"].items())


def print_progress(item: Mapping[str, Any]) -> None:
    """Print how far a campaign is: its groups, and why devices failed."""
    facts = [["campaign", item["id"]], ["name", item["name"]]]
    facts += [["release", f"{item['release']}, {item['package']}"], ["state", said(item)]]
    facts += [["since", moment(item["since"])], ["written by", ", ".join(item["authors"])]]
    facts += [["approved by", item["approver"] or "nobody yet"]]
    table(["what", "value"], facts)
    click.echo()
    header = ["group", "state", "dcus", "devices", "confirmed", "failed", "under way", "through"]
    table(header, [_group(group) for group in item["groups"]])
    failures = [
        [failure["devices"], group["name"], failure["code"], failure["cause"], failure["step"]]
        for group in item["groups"]
        for failure in group["failures"]
    ]
    if failures:
        click.echo()
        header = ["failed", "group", "code", "cause", "what to do"]
        table(header, failures, cut=("cause", "what to do"))


def _group(group: Mapping[str, Any]) -> list[object]:
    states = group["states"]
    confirmed = states.get("confirmed", 0)
    failed = sum(states.get(name, 0) for name in ("failed", "reverted", "discarded"))
    idle = states.get("waiting", 0)
    under_way = group["devices"] - confirmed - failed - idle
    through = moment((group["estimate"] or {}).get("settled")) if under_way else ""
    told = [group["name"], group["state"], group["dcus"], group["devices"]]
    return [*told, confirmed, failed, under_way, through]


def print_timeline(item: Mapping[str, Any]) -> None:
    """Print what happened to a device in one campaign."""
    device = item["device"]
    note(f"{device['serial']} in {item['name']} ({item['campaign']}), {item['package']}:")
    rows = [
        [moment(mark["at"]), mark["attempt"], mark["state"], mark["code"], mark["reason"]]
        for mark in item["marks"]
    ]
    table(["time", "attempt", "state", "code", "in its words"], rows, nothing="nothing yet")
    why = device["why"]
    note("it runs the new version" if why is None else f"{why['cause']}; {why['step']}")


async def watched(client: HttpClient, path: str, *, as_json: bool) -> dict[str, Any]:
    """Follow a campaign until it is over; tell each change.

    Raises:
        ApiError: ``campaign.stopped``, it was stopped.
    """
    shown = None
    while True:
        item: dict[str, Any] = (await get_json(client, path))["progress"]
        now = (said(item), states_words(item))
        if now != shown:
            shown = now
            if as_json:
                emit_json(item)
            else:
                note(": ".join(filter(None, now)))
        if item["state"] in OVER:
            break
        await asyncio.sleep(POLL_S)
    if item["state"] != "finished":
        raise ApiError(
            f"the campaign is {said(item)}",
            hint=f"openami campaign devices {item['id']} says how far each device is",
            code="campaign.stopped",
        )
    return item
