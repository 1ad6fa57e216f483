"""Notices in JSON."""

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import Field

from openami.core.clock import utc
from openami.fleet.demand.model import NOTICE_KINDS, Notice
from openami.fleet.demand.records import NoticeRecord
from openami.headend.errors import RequestError
from openami.web.api.models.common import Cursor
from openami.web.api.models.demand import Adr, TargetModel, Texts, target_models, targets_of


class NoticeSpec(Adr):
    """A notice to be shown."""

    kind: Annotated[str, Field(json_schema_extra={"enum": sorted(NOTICE_KINDS)})] = "message"
    texts: Texts
    duration: Annotated[timedelta, Field(description="How long it is shown.")] = timedelta(days=7)
    targets: Annotated[tuple[TargetModel, ...], Field(max_length=3)] = ()

    def notice(self, id_: str, now: float) -> Notice:
        """Return it, shown from now on; RequestError ``request.notice``."""
        try:
            until = int(now) + int(self.duration.total_seconds())
            targets = targets_of(self.targets)
            return Notice(id_, self.kind, int(now), until, dict(self.texts), targets)
        except ValueError as error:
            raise RequestError(str(error), code="request.notice") from error


class NoticeModel(Adr):
    """A notice."""

    id: str
    kind: str
    at: datetime
    until: datetime
    texts: dict[str, str]
    targets: tuple[TargetModel, ...]
    sent_by: str
    withdrawn: bool

    @classmethod
    def of(cls, record: NoticeRecord) -> Self:
        """Return the model of a notice."""
        notice = record.notice
        return cls(
            id=notice.id, kind=notice.kind, at=utc(notice.at), until=utc(notice.until),
            texts=dict(notice.texts), targets=target_models(notice.targets),
            sent_by=record.who, withdrawn=record.withdrawn,
        )  # fmt: skip


class NoticePage(Adr):
    """Notices, the newest first."""

    items: list[NoticeModel]
    next: Cursor = None
