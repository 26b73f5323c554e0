"""The gate of the exchange: a call is admitted before it leaves, and its reply before it goes back.

Which agreements come into question is worked out once for each kind of call and kept until an
agreement changes or the day ends (`Route`); what depends on the people concerned is decided anew each
time, so that a consent withdrawn has no effect from the next call on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from google.protobuf.message import DecodeError, Message

from eldex.common import metrics, telemetry
from eldex.common.clock import Clock, day_of
from eldex.common.errors import DomainError, InvalidRequest, Violation
from eldex.common.identifiers import InvalidRegionCode, RegionCode, new_key
from eldex.common.logs import logger
from eldex.common.store import Mark, UnitOfWork
from eldex.exchange.domain.agreements import HOW_TO_ASK, Agreement, FieldGrant, PurposeTerms
from eldex.exchange.domain.break_glass import BreakGlass
from eldex.exchange.domain.decision import (
    OF_THE_PERSON,
    Concealed,
    Condition,
    FieldNotGranted,
    Judge,
    Question,
    decide,
    exceeded,
    no_agreement,
)
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.access import Volumes, break_glass
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.masking import (
    ALWAYS_IN_REPLIES,
    ALWAYS_IN_REQUESTS,
    Masks,
    fields_beyond,
    is_beyond,
    known,
    masked,
    rows,
    texts_named,
)
from eldex.exchange.rpc.methods import MethodShape, shape_of
from eldex.exchange.rpc.people import People, Standing
from eldex.exchange.rpc.subjects import Subjects

_REGION_FIELDS: Final = frozenset({"region_code", "region_codes"})
_MOST_ROUTES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks what for which purpose; `emergency` is the written reason, if the glass is broken."""

    subsystem: str
    caller_region: RegionCode
    method: str
    purpose: str
    emergency: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """An agreement that allows a kind of call, and what it asks of request and reply."""

    agreement: Agreement
    terms: PurposeTerms
    grant: FieldGrant
    shape: MethodShape | None
    question: Question
    request_mask: type[Message] | None
    reply_mask: type[Message] | None
    asks_of_people: bool
    """Whether places or consents of the people concerned count."""


@dataclass(frozen=True, slots=True)
class Permit:
    """A call that may leave, and what is still to be done with its reply."""

    route: Route
    on: date
    checks_reply: bool = False
    """The request named nobody: whom the reply shows is looked at."""
    withheld: DomainError | None = None
    """A refusal that must look like a miss, in time too: the reply will be thrown away."""

    @property
    def agreement(self) -> Agreement:
        """The agreement that allows it."""
        return self.route.agreement

    @property
    def is_masked(self) -> bool:
        """Whether only some fields of the reply are granted."""
        return self.route.reply_mask is not None

    @property
    def legal_basis(self) -> str:
        """What the purpose rests on."""
        return self.route.terms.legal_basis


class Gate:
    """Decides over calls by the agreements at hand."""

    def __init__(
        self,
        *,
        home: RegionCode,
        table: AgreementTable,
        judge: Judge,
        people: People,
        volumes: Volumes,
        work: UnitOfWork[Stores],
        clock: Clock,
    ) -> None:
        self._home, self._table, self._judge = home, table, judge
        self._people, self._volumes, self._work, self._clock = people, volumes, work, clock
        self._masks, self._subjects = Masks(), Subjects()
        self._routes: dict[tuple[str, RegionCode, str, str, bool, date], list[Route]] = {}
        self._generation = -1

    async def admit(self, asked: Asked, payload: bytes) -> Permit:
        """Let a call pass by the first agreement that allows it; raises why none does."""
        self._table.require()
        today = day_of(self._clock())
        first: DomainError | None = None
        for route in self._routes_of(asked, today):
            try:
                return await self._admit_by(route, asked, payload, today)
            except DomainError as error:
                if error.kind.retryable:
                    raise
                first = first or error
        assert first is not None
        raise first

    def _routes_of(self, asked: Asked, today: date) -> list[Route]:
        if self._generation != self._table.generation or len(self._routes) > _MOST_ROUTES:
            self._routes.clear()
            self._generation = self._table.generation
        broken = bool(asked.emergency)
        kind = (asked.subsystem, asked.caller_region, asked.method, asked.purpose, broken, today)
        routes = self._routes.get(kind)
        if routes is None:
            question = Question(
                subsystem=asked.subsystem,
                caller_region=asked.caller_region,
                home=self._home,
                method=asked.method,
                purpose=asked.purpose,
                on=today,
                break_glass=broken,
            )
            allowing = decide(self._judge, self._table.of(asked.subsystem), question)
            routes = self._routes[kind] = [self._route(each, question) for each in allowing]
        return routes

    def _route(self, agreement: Agreement, question: Question) -> Route:
        grant = agreement.grant(question.method)
        assert grant is not None  # a condition of the decision
        shape = shape_of(question.method)
        terms = agreement.terms(question.purpose)
        asks = bool(agreement.subject_regions) or terms.requires_consent
        is_open = "*" in grant.reply_fields and "*" in grant.request_fields and not asks
        if shape is None and not is_open:
            # What the contract at hand does not know cannot be masked.
            raise no_agreement(question, Condition.METHOD, agreement)
        request_mask = reply_mask = None
        if shape is not None:
            wanted = known(shape.request, grant.request_fields)
            request_mask = self._masks.of(shape.request, wanted, ALWAYS_IN_REQUESTS)
            given = known(shape.reply, grant.reply_fields)
            reply_mask = self._masks.of(shape.reply, given, ALWAYS_IN_REPLIES)
        return Route(agreement, terms, grant, shape, question, request_mask, reply_mask, asks)

    async def _admit_by(self, route: Route, asked: Asked, payload: bytes, today: date) -> Permit:
        agreement, shape = route.agreement, route.shape
        try:
            if route.request_mask is not None and is_beyond(route.request_mask, payload):
                raise self._beyond(route, payload)
            if agreement.rows_per_day and shape is not None and shape.is_read:
                self._volumes.require(agreement.key, today, agreement.rows_per_day)
            if not route.asks_of_people and not asked.emergency:
                return Permit(route, today)
            return await self._for_people(route, asked, payload, today)
        except DecodeError:
            raise InvalidRequest(
                Violation(
                    "request",
                    "不是该方法的请求消息",
                    "is not a message of this method",
                    "MALFORMED",
                )
            ) from None

    def _beyond(self, route: Route, payload: bytes) -> FieldNotGranted:
        assert route.shape is not None
        kind = route.shape.request
        granted = known(kind, (*route.grant.request_fields, *ALWAYS_IN_REQUESTS))
        names = fields_beyond(kind, granted, payload)
        return FieldNotGranted(
            agreement=route.agreement.key,
            fields=", ".join(names) or "(unknown to the contract)",
            how=HOW_TO_ASK,
        )

    async def _for_people(self, route: Route, asked: Asked, payload: bytes, today: date) -> Permit:
        agreement = route.agreement
        named = self._named(asked.method, payload)
        standing = await self._people.standing(agreement, asked.purpose, named)
        is_read = route.shape is not None and route.shape.is_read
        regions = self._regions_pass(route, payload)
        # Nobody is named: a read is answered and whom it shows is looked at, a write is refused.
        if named:
            within = len(standing.within) == len(named)
            if not agreement.checks_subjects:
                within = regions is not False
            agreed = len(standing.consented) == len(named)
        else:
            within = regions if regions is not None else is_read or not agreement.checks_subjects
            agreed = is_read
        question = replace(route.question, subjects_within=within, consented=agreed)
        unmet = self._judge.unmet(agreement, question)
        if unmet:
            return self._refuse(route, question, unmet, today)
        if asked.emergency:
            await self._break_glass(route, asked, named, question)
            return Permit(route, today)
        return Permit(route, today, checks_reply=not named and self._is_left_open(route, regions))

    def _is_left_open(self, route: Route, regions: bool | None) -> bool:
        agreement = route.agreement
        places_are_open = (
            bool(agreement.subject_regions) and agreement.checks_subjects and regions is None
        )
        return places_are_open or route.terms.requires_consent

    def _named(self, method: str, payload: bytes) -> list[str]:
        found = self._subjects.of_call(method, payload, b"")
        return [key for key in found if key.startswith("res_")]

    def _regions_pass(self, route: Route, payload: bytes) -> bool | None:
        """Whether every division that a request names is one of the agreement's; None: it names none."""
        if not route.agreement.subject_regions or route.shape is None:
            return None
        codes = texts_named(route.shape.read_request(payload), _REGION_FIELDS)
        if not codes:
            return None
        try:
            wanted = [RegionCode.parse(code) for code in codes]
        except InvalidRegionCode:
            return False
        return all(
            any(allowed.contains(code) for allowed in route.agreement.subject_regions)
            for code in wanted
        )

    def _refuse(
        self, route: Route, question: Question, unmet: frozenset[Condition], today: date
    ) -> Permit:
        refusal = self._refusal(route, question, unmet)
        if isinstance(refusal, Concealed) and route.shape is not None and route.shape.is_read:
            return Permit(route, today, withheld=refusal)
        raise refusal

    def _refusal(
        self, route: Route, question: Question, unmet: frozenset[Condition]
    ) -> DomainError:
        first = next(condition for condition in Condition if condition in unmet)
        logger().info("call_withheld", agreement=route.agreement.key, condition=first.value)
        if route.agreement.conceals_existence and first in OF_THE_PERSON:
            return Concealed()
        return no_agreement(question, first, route.agreement)

    async def _break_glass(
        self, route: Route, asked: Asked, named: Sequence[str], question: Question
    ) -> None:
        calm = replace(question, break_glass=False)
        set_aside = self._judge.unmet(route.agreement, calm)
        now = self._clock()
        use = BreakGlass(
            key=new_key("brk"),
            subsystem=asked.subsystem,
            method=asked.method,
            purpose=asked.purpose,
            agreement_key=route.agreement.key,
            agreement_version=route.agreement.version,
            justification=asked.emergency,
            used_at=now,
            review_by=now,
            city=self._home,
            resident_keys=list(named),
            set_aside=sorted(condition.value for condition in set_aside),
            trace_id=telemetry.trace_id(),
        )
        await self._work.write(
            Mark(f"break-glass/{use.key}"),
            lambda stores, at: break_glass(use, self._home, stores, at),
        )
        metrics.glass_broken.labels(asked.method[1:].partition("/")[0]).inc()
        logger().warning(
            "glass_broken",
            break_glass_key=use.key,
            caller=asked.subsystem,
            method=asked.method,
            purpose=asked.purpose,
            agreement=route.agreement.key,
            set_aside=use.set_aside,
            review_by=use.review_by.isoformat(),
        )

    async def pass_reply(self, permit: Permit, reply: bytes) -> bytes:
        """The reply as its caller may have it; raises why it may not have it at all."""
        if permit.withheld is not None:
            raise permit.withheld
        route = permit.route
        agreement, shape = route.agreement, route.shape
        if permit.checks_reply:
            reply = await self._without_others(permit, reply)
        counts = (
            shape is not None
            and shape.is_read
            and (agreement.rows_per_call or agreement.rows_per_day)
        )
        message: Message | None = None
        if route.reply_mask is not None:
            message = masked(route.reply_mask, reply)
        elif counts and shape is not None:
            message = shape.read_reply(reply)
        if message is None:
            return reply
        if counts:
            await self._count(permit, rows(message))
        return message.SerializeToString() if route.reply_mask is not None else reply

    async def _count(self, permit: Permit, found: int) -> None:
        agreement = permit.agreement
        if agreement.rows_per_call and found > agreement.rows_per_call:
            raise exceeded(agreement.key, agreement.rows_per_call, is_day=False)
        if agreement.rows_per_day:
            await self._volumes.take(agreement.key, permit.on, found, agreement.rows_per_day)

    async def _without_others(self, permit: Permit, reply: bytes) -> bytes:
        """Leave out the rows about people who do not pass; refuse what is about one of them alone."""
        route = permit.route
        assert route.shape is not None
        message = route.shape.read_reply(reply)
        everybody = self._people_in(message)
        if not everybody:
            return reply
        standing = await self._people.standing(route.agreement, route.question.purpose, everybody)
        for field, value in message.ListFields():
            if not field.is_repeated or field.message_type is None:
                continue
            if field.message_type.GetOptions().map_entry:
                continue
            kept = [row for row in value if _passes(self._people_in(row), standing)]
            if len(kept) < len(value):
                del value[:]
                value.extend(kept)
        left = self._people_in(message)
        if not _passes(left, standing):
            question = replace(
                route.question,
                subjects_within=standing.within.issuperset(left),
                consented=standing.consented.issuperset(left),
            )
            raise self._refusal(route, question, self._judge.unmet(route.agreement, question))
        return message.SerializeToString()

    def _people_in(self, message: Message) -> list[str]:
        return [key for key in self._subjects.of_message(message) if key.startswith("res_")]

    def conceal(self, permit: Permit) -> None:
        """Of a call that found nothing: raise what must look like "you may not know", if it must."""
        if permit.withheld is not None:
            raise permit.withheld
        if permit.agreement.conceals_existence:
            raise Concealed


def _passes(people: Sequence[str], standing: Standing) -> bool:
    return standing.within.issuperset(people) and standing.consented.issuperset(people)
