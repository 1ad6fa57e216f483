"""The fleet: overview, devices, DCUs, shipments."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response, status

from openami.core.errors import NotFoundError
from openami.fleet.devices import Contact, Device, DeviceKind, LifecycleState
from openami.fleet.ports import DeviceFilter
from openami.headend.registry import Description
from openami.headend.services import Services
from openami.web.api import API
from openami.web.api.dependencies import Admin, After, Head, Limit, OperatorCaller, Viewer, errors
from openami.web.api.models.audit import AuditModel, AuditPage
from openami.web.api.models.fleet import (
    CredentialsModel,
    DcuChange,
    DcuModel,
    DescriptionChange,
    DeviceModel,
    DevicePage,
    Enrollment,
    NodeModel,
    OverviewModel,
    ShipmentResult,
    StateChange,
    SupplyOrderModel,
    SupplyResult,
    SupplyWish,
)

router = APIRouter(prefix=API, tags=["fleet"])

DeviceId = Annotated[str, Path(max_length=64, examples=["meter-A1000001"])]
Text = Annotated[str | None, Query(max_length=128)]


@router.get("/overview", responses=errors())
def overview(head: Head, caller: Viewer) -> OverviewModel:
    """Return the state of the whole fleet."""
    del caller
    return OverviewModel.of(head.statistics.overview())


@router.get("/devices", responses=errors(409))
def devices(
    head: Head,
    caller: Viewer,
    *,
    kind: DeviceKind | None = None,
    state: LifecycleState | None = None,
    contact: Contact | None = None,
    dcu: Text = None,
    region: Text = None,
    search: Annotated[
        str | None, Query(max_length=64, description="Part of serial, label or model.")
    ] = None,
    after: After = None,
    limit: Limit = 100,
) -> DevicePage:
    """Return devices by kind and serial number."""
    del caller
    which = DeviceFilter(
        kind=kind, state=state, dcu=dcu, contact=contact, region=region, search=search
    )
    page = head.registry.devices(which, after=after, limit=limit)
    return DevicePage(items=[_model(head, device) for device in page.items], next=page.next)


@router.get("/devices/{device}", responses=errors(404))
def device(head: Head, caller: Viewer, device: DeviceId) -> DeviceModel:
    """Return one device."""
    del caller
    return _model(head, head.registry.device(device))


@router.patch("/devices/{device}", responses=errors(404))
def describe(
    head: Head, caller: OperatorCaller, device: DeviceId, change: DescriptionChange
) -> DeviceModel:
    """Set what people say of a device."""
    place = change.location.location() if change.location else None
    description = Description(change.label, change.region, place)
    return _model(head, head.registry.describe(device, description, who=caller.name))


@router.post("/devices/{device}/state", responses=errors(400, 404, 409))
def move(head: Head, caller: OperatorCaller, device: DeviceId, change: StateChange) -> DeviceModel:
    """Move a device in its lifecycle; `next_states` says where to."""
    return _model(head, head.registry.move(device, change.to, who=caller.name, why=change.why))


@router.post("/meters/{serial}/dcu", responses=errors(400, 404, 409))
def assign(head: Head, caller: Admin, serial: str, change: DcuChange) -> DeviceModel:
    """Give a meter to another DCU, which from then on gets its credentials."""
    return _model(head, head.registry.assign(serial, change.dcu, who=caller.name, why=change.why))


@router.get("/meters/{serial}/node", responses=errors(404))
def node(head: Head, caller: Viewer, serial: str) -> NodeModel:
    """Return a meter as a node of C12.22: its ApTitle, and where it is registered."""
    del caller
    seen = head.nodes.seen(head.registry.meter(serial).serial)
    if seen is None:
        raise NotFoundError(f"meter {serial} is no node of C12.22")
    return NodeModel.of(seen)


@router.post("/meters/{serial}/supply", responses=errors(400, 404, 409, 502, 504))
async def supply(head: Head, caller: OperatorCaller, serial: str, wish: SupplyWish) -> SupplyResult:
    """Connect or disconnect the supply of a meter.

    With a meter of C12.22 it is answered when that is done. Behind a DCU it is an order, which the
    DCU is told; what came of it is in the orders of the meter.
    """
    done = await head.supplies.switch(
        serial, wish.wanted(), who=caller.name, why=wish.why, within=wish.within_s
    )
    order = None if done.order is None else SupplyOrderModel.of(done.order)
    return SupplyResult(connected=wish.connected, said=done.said, order=order)


@router.get("/meters/{serial}/supply", responses=errors(404))
def supply_orders(head: Head, caller: Viewer, serial: str) -> list[SupplyOrderModel]:
    """Return the last orders to a meter's supply, the newest first."""
    del caller
    return [SupplyOrderModel.of(order) for order in head.demand.orders.of_meter(serial)]


@router.get("/devices/{device}/audit", responses=errors(404, 409))
def device_audit(
    head: Head, caller: Viewer, device: DeviceId, after: After = None, limit: Limit = 100
) -> AuditPage:
    """Return what was done to a device, newest first."""
    del caller
    subject = head.registry.device(device).id
    page = head.registry.audit(subject=subject, after=after, limit=limit)
    return AuditPage(items=[AuditModel.of(entry) for entry in page.items], next=page.next)


@router.get("/dcus/{serial}", responses=errors(404))
def dcu(head: Head, caller: Viewer, serial: str) -> DcuModel:
    """Return a DCU, its own figures and those of its meters."""
    del caller
    found = head.registry.dcu(serial)
    return DcuModel.of(head.statistics.dcu(found), head.statistics.health(found))


@router.post("/dcus", status_code=status.HTTP_201_CREATED, responses=errors(400, 409))
def enroll(head: Head, caller: Admin, wish: Enrollment, response: Response) -> CredentialsModel:
    """Issue credentials for a DCU, which is added to the registry if it is new."""
    issued = head.registry.enroll_dcu(wish.dcu, who=caller.name, why=wish.why)
    response.headers["Location"] = f"/api/v1/devices/dcu-{wish.dcu}"
    return CredentialsModel(
        certificate=issued.certificate.decode(),
        key=issued.key.decode(),
        authority=issued.authority.decode(),
    )


@router.post(
    "/shipments",
    responses=errors(409),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {}}}},
)
async def shipment(request: Request, head: Head, caller: Admin) -> ShipmentResult:
    """Take a maker's shipment file: meters go into the registry, their keys into the vault."""
    text = await request.body()
    taken = await asyncio.to_thread(head.shipments.take, text, who=caller.name)
    return ShipmentResult(added=taken.added, known=taken.known)


def _model(head: Services, device: Device) -> DeviceModel:
    return DeviceModel.of(device, head.statistics.health(device))
