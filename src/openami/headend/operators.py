"""Operators: log-in, sessions, API tokens, accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openami.core.errors import ConflictError, NotFoundError
from openami.fleet.devices import AuditEntry
from openami.fleet.operators import Operator, Role, Session, SessionKind
from openami.headend.errors import RequestError
from openami.headend.installation import first_password, read_password
from openami.headend.logins import PASSWORD_LENGTH, Door

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openami.core.clock import Clock
    from openami.fleet.operators import OperatorStore
    from openami.fleet.ports import AuditLog, Page
    from openami.headend.installation import Installation
    from openami.headend.metrics import Metrics
    from openami.headend.settings import HeadendSettings

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
WHO: Final = "head-end"

LABEL_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Granted:
    """A session and its secret, which is kept nowhere."""

    session: Session
    secret: str = field(repr=False)


class Operators:
    """Who may use the head-end. Times are the machine's: a scaled clock would end every session."""

    def __init__(
        self,
        operators: OperatorStore,
        audit: AuditLog,
        *,
        wall: Clock,
        metrics: Metrics,
        settings: HeadendSettings,
        home: Installation,
    ) -> None:
        self._operators = operators
        self._audit = audit
        self._wall = wall
        self._settings = settings
        self._home = home
        self._door = Door(wall=wall, metrics=metrics, settings=settings)

    def ensure_first(self) -> str | None:
        """Make the first account if there is none; return a password that was made by chance."""
        if self._operators.list(limit=1).items:
            return None
        given = self._given_password()
        password = given or first_password(self._home)
        self._operators.add(
            self._settings.admin_name, password, Role.ADMIN, who=WHO, when=self._wall.now()
        )
        return None if given else password

    def login(self, name: str, password: str, *, address: str) -> Granted:
        """Open a session.

        Raises:
            SecurityError: ``security.login``, name or password is wrong.
            BusyError: ``security.throttled``, too many wrong ones came from there.
        """
        secret, session = self._door.admit(
            name,
            address,
            lambda: self._log_in(name, password, address),
            "name or password is wrong",
        )
        return Granted(session, secret)

    def logout(self, session: Session) -> None:
        """End a session."""
        self._operators.close_session(session.id)

    def authenticate(self, secret: str) -> Session | None:
        """Return the open session of a cookie or token, None if there is none."""
        return self._operators.session(secret, now=self._wall.now())

    def make_token(self, name: str, *, label: str, days: float) -> Granted:
        """Return a new API token of the operator ``name``.

        Raises:
            RequestError: ``request.token``, label or lifetime can not be.
        """
        if not 0 < days <= self._settings.token_days:
            raise RequestError(
                f"a token is valid for up to {self._settings.token_days:g} days",
                code="request.token",
            )
        if not 0 < len(label.strip()) <= LABEL_LENGTH:
            raise RequestError(
                f"a token has a label of up to {LABEL_LENGTH} characters", code="request.token"
            )
        secret, session = self._operators.open_session(
            name,
            SessionKind.TOKEN,
            now=self._wall.now(),
            lifetime=days * DAY,
            label=label.strip(),
        )
        self._note(name, f"token {session.id} made", name)
        return Granted(session, secret)

    def sessions(self, name: str) -> Sequence[Session]:
        """Return the open sessions and tokens of an operator."""
        return self._operators.sessions(name, now=self._wall.now())

    def revoke(self, name: str, session_id: int) -> None:
        """End a session or token of the operator ``name``; NotFoundError if it is not theirs."""
        if all(session.id != session_id for session in self.sessions(name)):
            raise NotFoundError(f"no session or token {session_id}")
        self._operators.close_session(session_id)
        self._note(name, f"session {session_id} ended", name)

    def list(self, *, after: str | None = None, limit: int = 100) -> Page[Operator]:
        """Return the accounts."""
        return self._operators.list(after=after, limit=limit)

    def add(self, name: str, password: str, role: Role, *, who: str) -> Operator:
        """Make an account; RequestError for a name or password that can not be."""
        self._check_password(password)
        try:
            return self._operators.add(name, password, role, who=who, when=self._wall.now())
        except ValueError as error:
            raise RequestError(str(error), code="request.operator") from error

    def change(
        self, name: str, *, who: str, role: Role | None = None, disabled: bool | None = None
    ) -> Operator:
        """Change an account; the last admin stays one.

        Raises:
            ConflictError: ``operator.last-admin``.
        """
        operator = self._operators.get(name)
        loses = disabled is True or (role is not None and role is not Role.ADMIN)
        if operator.role is Role.ADMIN and loses and not self._another_admin(name):
            raise ConflictError("the last admin stays one", code="operator.last-admin")
        now = self._wall.now()
        if role is not None:
            operator = self._operators.set_role(name, role, who=who, when=now)
        if disabled is not None:
            operator = self._operators.set_disabled(name, disabled, who=who, when=now)
        return operator

    def change_password(self, name: str, old: str, new: str, *, address: str) -> None:
        """Set an operator's own password, ending every session.

        Raises:
            SecurityError: ``security.login``, the old one is wrong.
            BusyError: ``security.throttled``.
            RequestError: ``request.operator``, the new one is too weak.
        """
        self._check_password(new)
        granted = self.login(name, old, address=address)
        try:
            self._operators.set_password(name, new, who=name, when=self._wall.now())
        except ValueError as error:
            self.logout(granted.session)
            raise RequestError(str(error), code="request.operator") from error
        if name == self._settings.admin_name:
            self._home.admin_password.unlink(missing_ok=True)

    def _given_password(self) -> str | None:
        settings = self._settings
        if settings.admin_password is not None:
            return settings.admin_password.get_secret_value()
        return read_password(settings.admin_password_file) if settings.admin_password_file else None

    def _log_in(self, name: str, password: str, address: str) -> tuple[str, Session] | None:
        if len(password) > PASSWORD_LENGTH:
            return None
        lifetime = self._settings.session_hours * HOUR
        now = self._wall.now()
        return self._operators.log_in(name, password, now=now, lifetime=lifetime, label=address)

    def _check_password(self, password: str) -> None:
        if len(password) > PASSWORD_LENGTH:
            raise RequestError(
                f"a password has at most {PASSWORD_LENGTH} characters", code="request.operator"
            )

    def _another_admin(self, name: str) -> bool:
        after: str | None = None
        while True:
            page = self._operators.list(after=after)
            if any(o.role is Role.ADMIN and not o.disabled and o.name != name for o in page.items):
                return True
            if page.next is None:
                return False
            after = page.next

    def _note(self, who: str, what: str, subject: str) -> None:
        self._audit.add(AuditEntry(who, self._wall.now(), what, f"operator-{subject}"))
