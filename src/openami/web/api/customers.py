"""Customers: who they are, which meters are theirs from when until when, their invitations."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, status

from openami.fleet.customers import MAX_LOGIN
from openami.headend.customers import Details
from openami.web.api import API
from openami.web.api.dependencies import After, Head, Limit, OperatorCaller, errors
from openami.web.api.models.customers import (
    CustomerChange,
    CustomerDetail,
    CustomerModel,
    CustomerPage,
    InvitationModel,
    InvitationWish,
    MoveIn,
    MoveOut,
    NewCustomer,
    TenancyList,
    TenancyModel,
)

router = APIRouter(prefix=API, tags=["customers"])

Login = Annotated[str, Path(max_length=MAX_LOGIN)]
Serial = Annotated[str, Path(max_length=32)]


@router.get("/customers", responses=errors(400))
def customers(
    head: Head, caller: OperatorCaller, after: After = None, limit: Limit = 100
) -> CustomerPage:
    """Return the customers by their logins."""
    del caller
    page = head.customers.list(after=after, limit=limit)
    return CustomerPage(items=[CustomerModel.of(one) for one in page.items], next=page.next)


@router.post("/customers", status_code=status.HTTP_201_CREATED, responses=errors(400, 409))
def add_customer(head: Head, caller: OperatorCaller, wish: NewCustomer) -> CustomerModel:
    """Add a customer, who can sign in once they have accepted an invitation."""
    return CustomerModel.of(head.customers.add(wish.login, wish.details(), who=caller.name))


@router.get("/customers/{login}", responses=errors(400, 404))
def customer(head: Head, caller: OperatorCaller, login: Login) -> CustomerDetail:
    """Return a customer and their meters."""
    del caller
    found = head.customers.get(login)
    return CustomerDetail.with_meters(found, head.customers.tenancies(login))


@router.patch("/customers/{login}", responses=errors(400, 404))
def change_customer(
    head: Head, caller: OperatorCaller, login: Login, change: CustomerChange
) -> CustomerModel:
    """Change a customer's tariff, discounts or language, shut them out or let them in again."""
    found, details = head.customers.get(login), change.details()
    if details != Details():
        found = head.customers.change(login, details, who=caller.name)
    if change.disabled is not None:
        found = head.customers.set_disabled(login, change.disabled, who=caller.name)
    return CustomerModel.of(found)


@router.post(
    "/customers/{login}/invitations",
    status_code=status.HTTP_201_CREATED,
    responses=errors(400, 404, 409),
)
def invite(
    head: Head, caller: OperatorCaller, login: Login, wish: InvitationWish
) -> InvitationModel:
    """Make an invitation, which is shown once; one before it holds no longer."""
    return InvitationModel.of(head.customers.invite(login, days=wish.days, who=caller.name))


@router.post(
    "/customers/{login}/meters",
    status_code=status.HTTP_201_CREATED,
    responses=errors(400, 404, 409),
)
def assign(head: Head, caller: OperatorCaller, login: Login, wish: MoveIn) -> TenancyModel:
    """Make a meter a customer's: what it measured before is never theirs to see."""
    starts = _seconds(wish.starts)
    return TenancyModel.of(head.customers.assign(login, wish.meter, starts=starts, who=caller.name))


@router.post("/customers/{login}/meters/{serial}/end", responses=errors(400, 404, 409))
def end(
    head: Head, caller: OperatorCaller, login: Login, serial: Serial, wish: MoveOut
) -> TenancyModel:
    """End it: what the meter measures afterwards is not theirs to see."""
    ends = _seconds(wish.ends)
    return TenancyModel.of(head.customers.end(login, serial, ends=ends, who=caller.name))


@router.get("/meters/{serial}/customers", responses=errors())
def of_meter(head: Head, caller: OperatorCaller, serial: Serial) -> TenancyList:
    """Return whose a meter was and is."""
    del caller
    return TenancyList(items=[TenancyModel.of(one) for one in head.customers.of_meter(serial)])


def _seconds(at: datetime | None) -> float | None:
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
