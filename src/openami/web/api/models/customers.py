"""What the REST API takes and gives about customers."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.customers import MAX_LOGIN, Customer, Tenancy
from openami.headend.customers import Details, Invitation
from openami.web.api.models.common import Cursor, Model, moment

Login = Annotated[str, Field(max_length=MAX_LOGIN, examples=["kim@example.org"])]
Serial = Annotated[str, Field(min_length=1, max_length=32)]
Discounts = Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=16)]
Tariff = Annotated[str, Field(max_length=64, description="As `openami tariff list` names it.")]
Language = Annotated[str, Field(max_length=8, description="Of the pages: `en` or `ko`.")]


class TenancyModel(Model):
    """A meter that is a customer's from when until when: full hours."""

    customer: str
    meter: str
    starts: datetime
    ends: datetime | None

    @classmethod
    def of(cls, tenancy: Tenancy) -> Self:
        """Return the model of a tenancy."""
        return cls(
            customer=tenancy.customer,
            meter=tenancy.meter,
            starts=utc(tenancy.starts),
            ends=moment(tenancy.ends),
        )


class CustomerModel(Model):
    """A customer."""

    login: str
    language: str | None = Field(description="Null: what their browser asks for.")
    tariff: str
    discounts: list[str]
    created: datetime
    last_login: datetime | None
    disabled: bool
    accepted: bool = Field(description="Whether they have ever chosen a password.")
    invited_until: datetime | None

    @classmethod
    def of(cls, customer: Customer) -> Self:
        """Return the model of a customer."""
        return cls(**_fields(customer))


class CustomerDetail(CustomerModel):
    """A customer and their meters, the newest first."""

    meters: list[TenancyModel]

    @classmethod
    def with_meters(cls, customer: Customer, tenancies: Iterable[Tenancy]) -> Self:
        """Return the model of a customer and their meters."""
        return cls(**_fields(customer), meters=[TenancyModel.of(one) for one in tenancies])


def _fields(customer: Customer) -> dict[str, Any]:
    return {
        "login": customer.login,
        "language": customer.language,
        "tariff": customer.tariff,
        "discounts": list(customer.discounts),
        "created": utc(customer.created),
        "last_login": moment(customer.last_login),
        "disabled": customer.disabled,
        "accepted": customer.accepted,
        "invited_until": moment(customer.invited_until),
    }


class CustomerPage(Model):
    """Some customers."""

    items: list[CustomerModel]
    next: Cursor


class CustomerChange(Model):
    """What is to be different about a customer."""

    tariff: Tariff | None = None
    discounts: Discounts | None = None
    language: Language | None = None
    disabled: bool | None = Field(None, description="True shuts them out, ending every session.")

    def details(self) -> Details:
        """Return what is decided about the customer."""
        discounts = None if self.discounts is None else tuple(self.discounts)
        return Details(self.tariff, discounts, self.language)


class NewCustomer(Model):
    """A customer to be."""

    login: Login
    tariff: Tariff | None = None
    discounts: Discounts | None = None
    language: Language | None = None

    def details(self) -> Details:
        """Return what is decided about the customer."""
        discounts = None if self.discounts is None else tuple(self.discounts)
        return Details(self.tariff, discounts, self.language)


class InvitationWish(Model):
    """How long an invitation is to be open."""

    days: Annotated[float, Field(gt=0)] | None = None


class InvitationModel(Model):
    """A new invitation, which is shown once; whoever has it chooses the customer's password."""

    customer: str
    until: datetime
    code: Annotated[str, Field(repr=False)]
    path: Annotated[
        str, Field(repr=False, description="Of a link; what is behind # is sent nowhere.")
    ]

    @classmethod
    def of(cls, invitation: Invitation) -> Self:
        """Return the model of an invitation."""
        return cls(
            customer=invitation.customer.login,
            until=utc(invitation.until),
            code=invitation.code,
            path=f"/my/welcome#{invitation.code}",
        )


class MoveIn(Model):
    """A meter that becomes a customer's."""

    meter: Serial
    starts: datetime | None = Field(None, description="The next full hour counts; null: now.")


class MoveOut(Model):
    """When a meter ceases to be a customer's."""

    ends: datetime | None = Field(None, description="The last full hour counts; null: now.")


class TenancyList(Model):
    """Whose a meter was and is, the newest first."""

    items: list[TenancyModel]
