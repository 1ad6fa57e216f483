"""Orders to have displays forgotten, in JSON."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.demand.records import DisplayOrder
from openami.headend.demand.displays import why_waiting
from openami.web.api.models.common import Cursor, moment
from openami.web.api.models.demand import Adr


class DisplayOrderModel(Adr):
    """An order that a meter forgets the displays of a household that moved out; it is not done."""

    id: str
    meter: str
    dcu: Annotated[str | None, Field(description="Looks after the meter; null: none does.")]
    moved_out: datetime
    refused: Annotated[datetime | None, Field(description="When the meter last refused it.")]
    code: str | None
    why: Annotated[str, Field(description="Why it is not done, in words.")]

    @classmethod
    def of(cls, order: DisplayOrder) -> Self:
        """Return the model of an order."""
        return cls(
            id=order.id, meter=order.meter, dcu=order.dcu, moved_out=utc(order.due),
            refused=moment(order.refused), code=order.code, why=why_waiting(order),
        )  # fmt: skip


class DisplayOrderPage(Adr):
    """Orders that are due and not done, the oldest first."""

    items: list[DisplayOrderModel]
    next: Cursor = None
