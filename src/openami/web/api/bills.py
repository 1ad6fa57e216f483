"""Bills of all meters that are somebody's."""

from typing import Annotated

from fastapi import APIRouter, Query

from openami.headend.billing import MAX_METERS
from openami.mdm.tariffs.month import parse_period
from openami.web.api import API
from openami.web.api.dependencies import After, Head, OperatorCaller, errors
from openami.web.api.models.bills import BillModel, BillPage

router = APIRouter(prefix=API, tags=["bills"])

Day = Annotated[str | None, Query(max_length=10, examples=["2026-05-18"])]


@router.get("/bills", responses=errors(400, 409, 503))
def bills(
    head: Head,
    caller: OperatorCaller,
    *,
    month: Annotated[str | None, Query(max_length=7, examples=["2026-05"])] = None,
    begin: Annotated[Day, Query(alias="from")] = None,
    end: Annotated[Day, Query(alias="to", description="The last day.")] = None,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=MAX_METERS, description="Most meters.")] = 100,
) -> BillPage:
    """Return the bills of a month, or of the days from and to, of all meters that were somebody's.

    Each is by the tariff and with the discounts of who had the meter last. A meter that has no
    bill is there, too, with the reason. While two such requests are answered, others are told to
    come again, with 503 `busy.bills`.
    """
    del caller
    period = parse_period(month, begin, end)
    page = head.billing.bills(period, after=after, limit=limit)
    return BillPage(items=[BillModel.of(one, period) for one in page.items], next=page.next)
