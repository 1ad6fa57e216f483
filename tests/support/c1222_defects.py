"""A healthy node of C12.22 with every service, and nodes with one defect each."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.support.c1219 import config, shrunk, value_of

from openami.c1222.apdu import Apdu, KeyUse
from openami.c1222.codes import ResponseCode, ResponseControl, SecurityMode, Standard
from openami.c1222.conformance import CASES, Report, Run, Target
from openami.c1222.epsem import Epsem
from openami.c1222.node import Caller, Node, NodeConfig
from openami.c1222.repeats import Answers, Failures, ReplayCache
from openami.c1222.security import Keys, protect, unprotect
from openami.c1222.segments import Reassembler
from openami.c1222.services import (
    Deregister,
    Deregistered,
    Disconnect,
    Done,
    Failure,
    Features,
    Identified,
    Read,
    ReadDefault,
    Register,
    Registered,
    Request,
    Resolve,
    Resolved,
    Response,
    TableData,
    Trace,
    Traced,
    Write,
    WriteIndex,
    WriteOffset,
)
from openami.c1222.tables import (
    ProcedureRequest,
    ProcedureResponse,
    Result,
    TableMemory,
    Tables,
    serve,
    standard,
)
from openami.c1222.titles import ApTitle
from openami.core.errors import DecodeError, OpenAmiError, SecurityError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from openami.c1222.station import Outgoing

NODE: Final = ApTitle.parse(".123.8437")
TESTER: Final = ApTitle.parse(".123.9")
KEY: Final = bytes(range(16))
KEYS: Final = Keys({2: KEY, 3: bytes(16)})
USER: Final = 2
PASSWORD: Final = b"open sesame"
START: Final = 1_774_742_400.0
USED: Final = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 21, 22, 23})
_WRITES: Final = (Write, WriteIndex, WriteOffset)


def memory(*, chance: Random) -> TableMemory:
    """Return the tables of a device, with values by chance."""
    values = config(used=USED, time_format=4) | {"STD_PROC_USED": frozenset({10, 11})}
    tables = Tables.of_values(values)
    contents = {standard(0): tables.encode(standard(0), values)}
    for number in sorted(USED - {0, 4, 7, 8}):
        table = standard(number)
        made = value_of(tables.layout(table), chance)
        contents[table] = tables.encode(table, shrunk(made, chance) if number == 21 else made)
        if number == 21:
            tables = tables.learn(table, contents[table])
    contents[standard(7)] = ProcedureRequest(0x7FE, 0).encode(tables)
    contents[standard(8)] = ProcedureResponse(0x7FE, 0).encode(tables)
    return TableMemory(tables, contents)


class HealthyDevice:
    """Tables, procedures and a network of its own; writes want a password."""

    def __init__(self, *, network: bool = True) -> None:
        self.memory = memory(chance=Random(1))
        self.registered: set[bytes] = set()
        self.network = network
        self.connected = True

    def identify(self) -> Identified:
        return Identified(Standard.C12_22, 1, 0, Features(sessions=4, sessionless=True))

    def authorizes(self, user_id: int, password: bytes) -> bool:
        return user_id == USER and hmac.compare_digest(password, PASSWORD.ljust(20))

    def serve(self, request: Request, caller: Caller, *, now: float) -> Response:
        handler = _NETWORK.get(type(request)) if self.network else None
        if handler is not None:
            return handler(self, request)
        if isinstance(request, ReadDefault):
            return self.table(Read(1))
        if isinstance(request, Disconnect):
            self.connected = False
            return Done()
        if isinstance(request, _WRITES):
            return self.write(request, caller)
        return self.table(request)

    def table(self, request: Request) -> Response:
        return serve(self.memory, request)

    def write(self, request: Any, caller: Caller) -> Response:
        if standard(request.table & 0x7FF) not in self.memory.contents or request.table > 0x7FF:
            return Failure(ResponseCode.ONP)
        if not caller.authorized:
            return Failure(ResponseCode.ISC)
        answer = serve(self.memory, request)
        if request.table == 7 and answer == Done():
            self.execute()
        return answer

    def execute(self) -> None:
        tables, contents = self.memory.tables, self.memory.contents
        try:
            asked = ProcedureRequest.decode(tables, contents[standard(7)])
            result = Result.DONE if asked.number in {10, 11} else Result.UNRECOGNIZED
        except DecodeError:
            asked, result = ProcedureRequest(10, contents[standard(7)][2]), Result.BAD_PARAMETER
        contents[standard(8)] = self.executed(asked, result).encode(tables)

    def executed(self, asked: ProcedureRequest, result: Result) -> ProcedureResponse:
        return ProcedureResponse.to(asked, result)

    def register(self, request: Register) -> Response:
        self.registered.add(request.title.name)
        return Registered(request.title, 30, request.period)

    def deregister(self, request: Deregister) -> Response:
        if request.title.name not in self.registered:
            return Failure(ResponseCode.UAT)
        self.registered.remove(request.title.name)
        return Deregistered(request.title)

    def resolve(self, request: Resolve) -> Response:
        if request.title.name != NODE.name:
            return Failure(ResponseCode.UAT)
        return Resolved(bytes.fromhex("c0a801640481"))

    def trace(self, request: Trace) -> Response:
        return Traced((*request.titles, NODE))


_NETWORK: Final[Mapping[type[Request], Callable[..., Response]]] = {
    Register: HealthyDevice.register,
    Deregister: HealthyDevice.deregister,
    Resolve: HealthyDevice.resolve,
    Trace: HealthyDevice.trace,
}


class HealthyNode(Node):
    """A node of ours with that device."""

    def __init__(self, device: HealthyDevice | None = None) -> None:
        self.device = device or HealthyDevice()
        super().__init__(NodeConfig(NODE, KEYS), self.device, first_id=1000)

    def outgoing(self) -> tuple[Outgoing, ...]:
        return ()


def remade(octets: bytes, change: Callable[[Apdu, Epsem], tuple[Apdu, Epsem]]) -> bytes:
    """Return a message with something else in it, protected anew."""
    opened = unprotect(octets, KEYS)
    apdu, epsem = change(opened.apdu, opened.epsem)
    return protect(apdu, epsem, KEYS)


class Answering(HealthyNode):
    """Changes each of its answers."""

    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        raise NotImplementedError

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        answers = super().receive(data, **where)
        if len(answers) != 1:  # nothing, or segments
            return answers
        request = Apdu.decode(data)
        if request.total is not None:
            return answers
        return tuple(
            remade(each, lambda apdu, epsem: self.changed(apdu, epsem, request)) for each in answers
        )


class WrongInvocationId(Answering):
    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        return replace(apdu, answers=(apdu.answers or 0) + 1), epsem


class SameOwnId(Answering):
    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        return replace(apdu, invocation_id=7), epsem


class UnswappedTitles(Answering):
    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        return replace(apdu, called=request.called, calling=request.calling), epsem


class RelativeTitles(Answering):
    """Writes its own title in one form, whatever the request has."""

    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        return replace(apdu, calling=NODE), epsem


class LoweredMode(Answering):
    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        return replace(apdu, key=None), replace(epsem, mode=SecurityMode.CLEAR)


class WrongKeyId(Answering):
    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        if apdu.key is None:
            return apdu, epsem
        return replace(apdu, key=KeyUse(3, apdu.key.iv)), epsem


class WrongOrder(Answering):
    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        return apdu, replace(epsem, services=epsem.services[::-1])


class OldTime(Answering):
    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        key = apdu.key and KeyUse.at(apdu.key.key_id, apdu.key.time - 3600)
        return replace(apdu, key=key), epsem


class WrongAnswerTag(HealthyNode):
    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        return tuple(
            each[:-1] + bytes((each[-1] ^ 1,)) if Apdu.decode(each).key else each
            for each in super().receive(data, **where)
        )


class WrongChecksum(HealthyNode):
    """Of ST-00."""

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        return tuple(remade(each, self.spoilt) for each in super().receive(data, **where))

    def spoilt(self, apdu: Apdu, epsem: Epsem) -> tuple[Apdu, Epsem]:
        table = TableData(self.device.memory.contents[standard(0)]).encode()
        wrong = table[:-1] + bytes((table[-1] ^ 1,))
        services = tuple(wrong if each == table else each for each in epsem.services)
        return apdu, replace(epsem, services=services)


class MissingResponse(HealthyNode):
    """Says nothing to a service that it does not know how to do."""

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        try:
            services = unprotect(data, KEYS).epsem.services
        except OpenAmiError:
            return super().receive(data, **where)
        silent = services == (ReadDefault().encode(),)
        return () if silent else super().receive(data, **where)


class Talkative(HealthyNode):
    """Answers what a healthy node passes over in silence, where it should."""

    CODES: frozenset[str] = frozenset()

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        answers = super().receive(data, **where)
        refused = [getattr(each, "code", "") for each in iter(self.next_event, None)]
        if answers or not self.CODES.intersection(refused):
            return answers
        return (self.complaint(Apdu.decode(data)),)

    def complaint(self, apdu: Apdu) -> bytes:
        answer = Apdu(77, apdu.calling, apdu.called, apdu.invocation_id)
        return protect(answer, Epsem((Failure(ResponseCode.SME).encode(),)))


class AnswersWrongTag(Talkative):
    CODES = frozenset({"security.tag"})


class AnswersUnknownKey(Talkative):
    CODES = frozenset({"security.key-id"})


class AnswersUntitled(Talkative):
    CODES = frozenset({"security.title"})


class AnswersOldTime(Talkative):
    CODES = frozenset({"security.time"})


class AnswersReplay(Talkative):
    CODES = frozenset({"security.replay"})


class LowersSession(Talkative):
    CODES = frozenset({"security.mode"})


class AnswersForgery(HealthyNode):
    """Has no use for titles and ids."""

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        if data[:1] == b"\x60" and data[2:3] == b"\xbe":
            services = (Failure(ResponseCode.ERR).encode(),)
            return (protect(Apdu(5, TESTER, NODE), Epsem(services)),)
        return super().receive(data, **where)


class AnswersMalformed(HealthyNode):
    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        if data == b"\x60\x00":
            services = (Failure(ResponseCode.ERR).encode(),)
            return (protect(Apdu(5, TESTER, NODE), Epsem(services)),)
        return super().receive(data, **where)


class DiesOfMalformed(HealthyNode):
    dead = False

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        self.dead = self.dead or data[-2:] == b"\xbf\x00"
        return () if self.dead else super().receive(data, **where)


class AnswersForeign(HealthyNode):
    def _is_ours(self, apdu: Apdu) -> bool:
        return apdu.answers is None


class AnswersAnswers(HealthyNode):
    def _is_ours(self, apdu: Apdu) -> bool:
        return apdu.called is None or apdu.called.name == NODE.name


class AlwaysAnswers(HealthyNode):
    """Knows no response control."""

    CONTROL = ResponseControl.NEVER

    def _response(self, opened: Any, *rest: Any) -> tuple[bytes, ...]:
        if opened.epsem.respond is self.CONTROL:
            epsem = replace(opened.epsem, respond=ResponseControl.ALWAYS)
            opened = replace(opened, epsem=epsem)
        return super()._response(opened, *rest)


class AlwaysAnswersExceptions(AlwaysAnswers):
    CONTROL = ResponseControl.ON_EXCEPTION


class DoesTwice(HealthyNode):
    class _Forgetful(Answers):
        def find(self, request: bytes, *, now: float) -> None:
            return None

    def __init__(self) -> None:
        super().__init__()
        self._answers = self._Forgetful()


class Patient(HealthyNode):
    """Looks at any number of passwords."""

    class _Endless(Failures):
        def allows(self, source: Hashable, *, now: float) -> bool:
            return True

    def __init__(self) -> None:
        super().__init__()
        self._passwords = self._Endless()


class NoReplayCache(HealthyNode):
    """Serves what came before."""

    class _Blind(ReplayCache):
        def accept(self, apdu: Apdu, key: KeyUse, *, now: float) -> None:
            try:
                super().accept(apdu, key, now=now)
            except SecurityError as error:
                if error.code != "security.replay":
                    raise

    def __init__(self) -> None:
        super().__init__()
        self._replays = self._Blind()


class InOrder(HealthyNode):
    """Takes segments in their order only."""

    class _Strict(Reassembler):
        def __init__(self) -> None:
            super().__init__()
            self.ends: dict[int, int] = {}

        def receive(self, message: bytes, *, now: float, source: Hashable = None) -> Apdu | None:
            apdu = Apdu.decode(message)
            if apdu.reference is not None:
                end = self.ends.get(apdu.invocation_id, 0)
                if apdu.reference > end:
                    return None
                self.ends[apdu.invocation_id] = max(end, apdu.reference + len(apdu.information))
            return super().receive(message, now=now, source=source)

    def __init__(self) -> None:
        super().__init__()
        self._reassembler = self._Strict()


class ForgetsSessions(HealthyNode):
    """Ends a session with its connection."""

    last: Any = None

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        if self.last not in {None, where["source"]}:
            self.sessions.expire(float("inf"))
        self.last = where["source"]
        return super().receive(data, **where)


class OtherCode(Answering):
    """Says something else than it should."""

    def __init__(self, right: Response, wrong: Response) -> None:
        super().__init__()
        self._right, self._wrong = right.encode(), wrong.encode()

    def changed(self, apdu: Apdu, epsem: Epsem, request: Apdu) -> tuple[Apdu, Epsem]:
        services = tuple(self._wrong if each == self._right else each for each in epsem.services)
        return apdu, replace(epsem, services=services)


class Says(HealthyNode):
    """Says something else to some requests: to their octets, or to all with their first octet."""

    def __init__(self, answers: Mapping[bytes, bytes], device: HealthyDevice | None = None) -> None:
        super().__init__(device)
        self._said = answers

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        answers = super().receive(data, **where)
        try:
            asked = unprotect(data, KEYS).epsem.services
        except (DecodeError, SecurityError):
            return answers
        if len(answers) != 1:
            return answers
        return (remade(answers[0], lambda apdu, epsem: (apdu, self.said(epsem, asked))),)

    def said(self, epsem: Epsem, asked: tuple[bytes, ...]) -> Epsem:
        pairs = zip(asked, epsem.services, strict=True)
        services = tuple(
            self._said.get(request, self._said.get(request[:1], answer))
            for request, answer in pairs
        )
        return replace(epsem, services=tuple(each for each in services if each))


class Mad(HealthyNode):
    """Changes its answers by chance, before or after they are protected."""

    def __init__(self, seed: int, *, rate: float, inside: bool) -> None:
        super().__init__()
        self._chance = Random(seed)
        self._rate = rate
        self._inside = inside

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        return tuple(
            self.spoilt(each) if self._chance.random() < self._rate else each
            for each in super().receive(data, **where)
        )

    def spoilt(self, octets: bytes) -> bytes:
        if self._inside:
            return remade(octets, self.other)
        changed = bytearray(octets)
        changed[self._chance.randrange(len(changed))] ^= 1 << self._chance.randrange(8)
        return bytes(changed)

    def other(self, apdu: Apdu, epsem: Epsem) -> tuple[Apdu, Epsem]:
        chance = self._chance
        services = [bytearray(each) for each in epsem.services]
        place = chance.randrange(len(services))
        one = services[place]
        kind = chance.randrange(4)
        if kind == 0:
            one[chance.randrange(len(one))] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del one[chance.randrange(len(one)) :]
        elif kind == 2:
            one += chance.randbytes(chance.randrange(5))
        else:
            services.append(bytearray(chance.randbytes(3)))
        return apdu, replace(epsem, services=tuple(bytes(each) for each in services if each))


class ShortOfMemory(HealthyNode):
    """Has no room for the answers to many services, and says so in its own way."""

    def __init__(self, answer: Response | None) -> None:
        super().__init__()
        self._short = answer

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        answers = super().receive(data, **where)
        if len(answers) != 1 or len(unprotect(answers[0], KEYS).epsem.services) < 30:
            return answers
        if self._short is None:
            return ()
        services = (self._short.encode(),)
        return (remade(answers[0], lambda apdu, epsem: (apdu, replace(epsem, services=services))),)


class Sulks(HealthyNode):
    """Never speaks again after three wrong passwords."""

    wrong = 0

    def receive(self, data: bytes, **where: Any) -> tuple[bytes, ...]:
        if self.wrong >= 3:
            return ()
        answers = super().receive(data, **where)
        events = list(iter(self.next_event, None))
        if any(getattr(each, "code", "") == "security.password" for each in events):
            self.wrong += 1
        elif answers:
            self.wrong = 0
        return answers


class WantsRelativeTitles(HealthyNode):
    """Does not know an absolute ApTitle as its own."""

    def _is_ours(self, apdu: Apdu) -> bool:
        return super()._is_ours(apdu) and (apdu.called is None or apdu.called.relative)


class ReadOnly(HealthyDevice):
    """Lets nobody write what it is called, and has no procedures of the standard."""

    def __init__(self) -> None:
        super().__init__()
        values = dict(self.memory.tables.known[standard(0)])
        values |= {"STD_TBLS_WRITE": frozenset({7}), "STD_PROC_USED": frozenset[int]()}
        self.memory.tables = Tables.of_values(values)
        self.memory.contents[standard(0)] = self.memory.tables.encode(standard(0), values)


class LongTable(HealthyDevice):
    """ST-01 has an octet more than it may."""

    def table(self, request: Request) -> Response:
        answer = super().table(request)
        if request == Read(1) and isinstance(answer, TableData):
            return TableData(answer.data + b"\x00")
        return answer


class UnlistedTable(HealthyDevice):
    """ST-09 is there, and ST-00 does not say so."""

    def __init__(self) -> None:
        super().__init__()
        self.memory.contents[standard(9)] = bytes(8)


class WrongSequence(HealthyDevice):
    def executed(self, asked: ProcedureRequest, result: Result) -> ProcedureResponse:
        return ProcedureResponse.to(replace(asked, sequence=0), result)


class WrongResult(HealthyDevice):
    def executed(self, asked: ProcedureRequest, result: Result) -> ProcedureResponse:
        done = result is Result.UNRECOGNIZED
        return ProcedureResponse.to(asked, Result.DONE if done else result)


class TakesAnything(HealthyDevice):
    """Procedures are done whatever their parameters are."""

    def executed(self, asked: ProcedureRequest, result: Result) -> ProcedureResponse:
        wrong = result is Result.BAD_PARAMETER
        return ProcedureResponse.to(asked, Result.DONE if wrong else result)


class Trusting(HealthyDevice):
    """Any password is right."""

    def authorizes(self, user_id: int, password: bytes) -> bool:
        return True


class Defect(NamedTuple):
    """A node, the case that finds what is wrong with it, and the code of that."""

    make: Callable[[], Node]
    case: str
    code: str
    mode: SecurityMode = SecurityMode.ENCRYPTED


def _code(right: ResponseCode, wrong: ResponseCode) -> Callable[[], Node]:
    return lambda: OtherCode(Failure(right), Failure(wrong))


DEFECTS: Final[Mapping[str, Defect]] = {
    "wrong checksum": Defect(WrongChecksum, "read-checksum", "checksum"),
    "wrong invocation id": Defect(WrongInvocationId, "invocation-id", "invocation-id"),
    "titles not changed over": Defect(UnswappedTitles, "titles", "titles"),
    "titles in another form": Defect(RelativeTitles, "titles", "titles"),
    "lowered mode": Defect(LoweredMode, "mode-kept", "mode"),
    "missing response": Defect(MissingResponse, "read-default", "unanswered"),
    "wrong table length": Defect(lambda: HealthyNode(LongTable()), "table-lengths", "table-length"),
    "wrong order": Defect(WrongOrder, "list", "order"),
    "accepts replay": Defect(NoReplayCache, "replay", "replay"),
    "answers replay": Defect(AnswersReplay, "replay", "replay"),
    "answers a wrong tag": Defect(AnswersWrongTag, "wrong-tag", "wrong-tag"),
    "answers an unknown key": Defect(AnswersUnknownKey, "unknown-key", "unknown-key"),
    "wrong key id": Defect(WrongKeyId, "key-id", "key-id"),
    "wrong tag": Defect(WrongAnswerTag, "answer-tag", "answer-tag"),
    "wrong time": Defect(OldTime, "answer-time", "answer-time"),
    "wrong sequence in ST-08": Defect(
        lambda: HealthyNode(WrongSequence()), "procedure-sequence", "procedure-sequence"
    ),
    "does what it does not know": Defect(
        lambda: HealthyNode(WrongResult()), "procedure-unknown", "procedure-unknown"
    ),
    "a time that is cut off": Defect(
        lambda: HealthyNode(TakesAnything()), "procedure-parameters", "procedure-parameters"
    ),
    "no answer that is too long": Defect(lambda: ShortOfMemory(None), "read-too-long", "too-long"),
    "err for rstl": Defect(
        lambda: ShortOfMemory(Failure(ResponseCode.ERR)), "read-too-long", "too-long"
    ),
    "a pause without end": Defect(Sulks, "security-pause", "dead"),
    "no pause": Defect(Patient, "security-pause", "pause"),
    "its own id again": Defect(SameOwnId, "own-id", "own-id"),
    "answers for others": Defect(AnswersForeign, "foreign-title", "foreign-title"),
    "answers answers": Defect(AnswersAnswers, "answer-answered", "answer-answered"),
    "answers the untitled": Defect(AnswersUntitled, "untitled", "untitled"),
    "answers the old": Defect(AnswersOldTime, "time-window", "time-window"),
    "answers a forgery": Defect(AnswersForgery, "forged", "forged"),
    "a session without protection": Defect(LowersSession, "session-mode", "session-mode"),
    "answers what is no message": Defect(AnswersMalformed, "malformed", "malformed"),
    "dies of what is no message": Defect(DiesOfMalformed, "malformed", "dead"),
    "always tells of failures": Defect(AlwaysAnswersExceptions, "on-exception", "response-control"),
    "does it twice": Defect(DoesTwice, "duplicate", "duplicate", SecurityMode.CLEAR),
    "segments in order only": Defect(InOrder, "segments-order", "segment-order"),
    "sessions of connections": Defect(ForgetsSessions, "logon-connection", "session-lost"),
    "an unlisted table": Defect(lambda: HealthyNode(UnlistedTable()), "table-list", "table-list"),
    "any password": Defect(lambda: HealthyNode(Trusting()), "security-wrong", "wrong-password"),
    "err for sns": Defect(
        _code(ResponseCode.SNS, ResponseCode.ERR), "unknown-service", "unknown-service"
    ),
}


@dataclass
class Bench:
    """Runs cases against a node in its process, in a time of its own."""

    node: Node
    now: float = START
    connection: int = 0

    def run(
        self, target: Target, *, cases: Sequence[Any] = CASES, intrusive: bool = True
    ) -> Report:
        """Return the report of a whole run."""
        run = Run(target, cases, first_id=1, intrusive=intrusive)
        while (exchange := run.next(now=self.now)) is not None:
            self.connection += exchange.anew
            source = ("apart", 0) if exchange.apart else ("tester", self.connection)
            for each in exchange.messages:
                answers = self.node.receive(
                    each, source=source, now=self.now, largest=target.largest
                )
                for answer in () if exchange.apart else answers:
                    if run.waiting:
                        run.receive(answer, now=self.now)
            if run.waiting or not exchange.messages:
                self.now += target.timeout if exchange.seconds is None else exchange.seconds
        return run.report("memory", now=self.now)


def target(mode: SecurityMode = SecurityMode.ENCRYPTED, **options: Any) -> Target:
    """Return how to test those nodes."""
    given: dict[str, Any] = {"keys": KEYS, "key_id": 2, "user": USER, "password": PASSWORD}
    return Target(NODE, TESTER, mode=mode, **(given | options))
