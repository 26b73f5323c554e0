"""`eldex.api.exchange.v1.AccessService`: consents, emergencies and their review, decisions explained."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import Message

from eldex.api.exchange.v1 import access_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.clock import CHINA, Clock, day_of
from eldex.common.dates import day, optional_day, proto_instant
from eldex.common.errors import Denied, NotFound
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import PURPOSE, Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document, UnitOfWork
from eldex.exchange import wire
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.break_glass import State
from eldex.exchange.domain.decision import (
    OF_THE_PERSON,
    Condition,
    Judge,
    Question,
    check_purpose,
    decide,
    words,
)
from eldex.exchange.handlers import MessageLog, Stores, access
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.people import People
from eldex.exchange.wire import access as access_wire


class AccessService:
    """Answers the calls of `AccessService`."""

    def __init__(
        self,
        *,
        home: RegionCode,
        work: UnitOfWork[Stores],
        table: AgreementTable,
        history: access.AgreementHistory,
        judge: Judge,
        people: People,
        log: MessageLog,
        clock: Clock,
    ) -> None:
        self._home, self._work, self._table, self._history = home, work, table, history
        self._judge, self._people, self._log, self._clock = judge, people, log, clock

    def _require(self, call: Call) -> None:
        """Let operators in, and members whose agreement names the method; raises `NoAgreement`."""
        if call.caller.service is not None:
            return
        city, _, subsystem = call.caller.path.partition("/")
        question = Question(
            subsystem=subsystem,
            caller_region=RegionCode.parse(city),
            home=self._home,
            method=call.method,
            purpose=check_purpose(call.metadata.get(PURPOSE, "")),
            on=day_of(self._clock()),
        )
        decide(self._judge, self._table.of(subsystem), question)

    async def record_consent(
        self, request: pb.RecordConsentRequest, call: Call
    ) -> pb.RecordConsentResponse:
        """Record that a person consents."""
        self._require(call)
        command = access.RecordConsent(
            request.resident_key,
            request.subsystem,
            request.purpose,
            request.evidence,
            optional_day(request.valid_to, "valid_to"),
            call.caller.path,
        )
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: access.record_consent(command, stores, now),
            lambda made: pb.RecordConsentResponse(consent=access_wire.consent(made)),
        )

    async def withdraw_consent(
        self, request: pb.WithdrawConsentRequest, call: Call
    ) -> pb.WithdrawConsentResponse:
        """Record that a person withdraws a consent."""
        self._require(call)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: access.withdraw_consent(
                request.consent_key, request.evidence, stores, now
            ),
            lambda found: pb.WithdrawConsentResponse(consent=access_wire.consent(found)),
        )

    async def list_consents(
        self, request: pb.ListConsentsRequest, call: Call
    ) -> pb.ListConsentsResponse:
        """The consents of a person or for a subsystem."""
        self._require(call)
        where: Document = {
            name: value
            for name in ("resident_key", "subsystem")
            if (value := getattr(request, name))
        }
        page = await self._work.read(lambda stores: stores.consents.page(where, **_place(request)))
        response = pb.ListConsentsResponse(
            consents=[access_wire.consent(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for each in response.consents:
            masks.keep(each, request.read_mask)
        return response

    async def list_break_glass(
        self, request: pb.ListBreakGlassRequest, call: Call
    ) -> pb.ListBreakGlassResponse:
        """The uses of break-glass and where their review stands."""
        self._require(call)
        now = self._clock()
        where = _in_state(access_wire.state_in(request.state), now)
        if request.subsystem:
            where["subsystem"] = request.subsystem
        page = await self._work.read(
            lambda stores: stores.break_glasses.page(where, **_place(request))
        )
        response = pb.ListBreakGlassResponse(
            break_glass=[access_wire.break_glass(found, now) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for each in response.break_glass:
            masks.keep(each, request.read_mask)
        return response

    async def review_break_glass(
        self, request: pb.ReviewBreakGlassRequest, call: Call
    ) -> pb.ReviewBreakGlassResponse:
        """Say whether breaking the glass was right."""
        self._require(call)
        command = access.Review(
            request.break_glass_key,
            call.caller.path,
            request.reviewer,
            request.justified,
            request.finding,
            request.etag,
        )
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: access.review_break_glass(command, stores, now),
            lambda found: pb.ReviewBreakGlassResponse(
                break_glass=access_wire.break_glass(found, self._clock())
            ),
        )

    async def put_review_rule(
        self, request: pb.PutReviewRuleRequest, call: Call
    ) -> pb.PutReviewRuleResponse:
        """Set within how many hours a division has break-glass reviewed."""
        _operations_only(call)
        wanted = access_wire.review_rule_in(request.review_rule)
        return await write(
            self._work,
            request,
            call,
            lambda stores, _: access.put_review_rule(wanted, request.review_rule.etag, stores),
            lambda made: pb.PutReviewRuleResponse(review_rule=access_wire.review_rule(made)),
        )

    async def list_review_rules(
        self, request: pb.ListReviewRulesRequest, call: Call
    ) -> pb.ListReviewRulesResponse:
        """The deadlines of divisions."""
        page = await self._work.read(lambda stores: stores.review_rules.page({}, **_place(request)))
        response = pb.ListReviewRulesResponse(
            review_rules=[access_wire.review_rule(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for each in response.review_rules:
            masks.keep(each, request.read_mask)
        return response

    async def list_agreement_versions(
        self, request: pb.ListAgreementVersionsRequest, call: Call
    ) -> pb.ListAgreementVersionsResponse:
        """Every version of an agreement, newest first."""
        before = paging.after_number(request, request.page_token)
        found, following = await self._history.versions(
            request.agreement_key,
            size=paging.size(request.page_size),
            before=before,
        )
        subsystem = call.caller.path.partition("/")[2]
        if call.caller.service is None and found[0].agreement.subsystem != subsystem:
            # Whether somebody else has an agreement of that name is nobody's business.
            raise NotFound("Agreement", request.agreement_key)
        response = pb.ListAgreementVersionsResponse(
            versions=[
                pb.AgreementVersion(
                    agreement=wire.agreement(each.agreement),
                    version=each.agreement.version,
                    recorded_at=proto_instant(each.recorded_at),
                )
                for each in found
            ],
            next_page_token=paging.token(request, str(following) if following else None),
        )
        for each in response.versions:
            masks.keep(each, request.read_mask)
        return response

    async def explain_decision(
        self, request: pb.ExplainDecisionRequest, call: Call
    ) -> pb.ExplainDecisionResponse:
        """Decide a call again with the version of the agreement that was in force then."""
        _operations_only(call)
        if request.WhichOneof("decision") == "log_index":
            return await self._explain_record(request.log_index)
        inputs = request.inputs
        version = await self._history.version(inputs.agreement_key, inputs.agreement_version)
        on = day(inputs.decided_on, "inputs.decided_on")
        people = list(inputs.resident_keys)
        # At the end of that day, in China.
        end = datetime(on.year, on.month, on.day, tzinfo=CHINA) + timedelta(days=1)
        as_of = min(end.astimezone(UTC) - timedelta(milliseconds=1), self._clock())
        standing = await self._people.standing(
            version.agreement, inputs.purpose, people, as_of=as_of
        )
        city = inputs.caller_region_code
        question = Question(
            subsystem=inputs.subsystem,
            caller_region=RegionCode.parse(city) if city else self._home,
            home=self._home,
            method=inputs.method,
            purpose=inputs.purpose,
            on=on,
            subjects_within=standing.within.issuperset(people),
            consented=standing.consented.issuperset(people),
            break_glass=inputs.break_glass,
        )
        return self._explained(version.agreement, question, of_people=bool(people))

    async def _explain_record(self, index: int) -> pb.ExplainDecisionResponse:
        found, _ = await self._log.search({}, size=1, before=index + 1)
        if not found or found[0].index != index:
            raise NotFound("LoggedCall", str(index))
        record = found[0].record
        question = Question(
            subsystem=record.subsystem,
            caller_region=self._home,
            home=self._home,
            method=record.method,
            purpose=record.purpose,
            on=day_of(record.answered_at),
        )
        if record.agreement_key:
            version = await self._history.version(record.agreement_key, record.agreement_version)
            return self._explained(version.agreement, question, of_people=False)
        # It was denied: the agreement that came closest, as it was then.
        closest: tuple[int, Agreement] | None = None
        for present in self._table.of(record.subsystem):
            past = await self._history.at(present.key, record.answered_at)
            if past is not None:
                missing = len(self._judge.unmet(past.agreement, question))
                if closest is None or missing < closest[0]:
                    closest = (missing, past.agreement)
        if closest is None:
            return pb.ExplainDecisionResponse(allowed=False)
        return self._explained(closest[1], question, of_people=False)

    def _explained(
        self, agreement: Agreement, question: Question, *, of_people: bool
    ) -> pb.ExplainDecisionResponse:
        unmet = self._judge.unmet(agreement, question)
        grant = agreement.grant(question.method)
        response = pb.ExplainDecisionResponse(
            allowed=not unmet,
            agreement=wire.agreement(agreement),
            agreement_version=agreement.version,
            legal_basis=agreement.terms(question.purpose).legal_basis,
            reply_fields=grant.reply_fields if grant else (),
        )
        for condition in Condition:
            if condition in OF_THE_PERSON and not of_people:
                continue
            zh, en = words(condition, agreement, question, is_met=condition not in unmet)
            response.steps.add(
                condition=condition.value,
                met=condition not in unmet,
                words_zh=zh,
                words_en=en,
            )
        return response


def _place(request: Any) -> dict[str, Any]:
    message: Message = request
    return {
        "size": paging.size(request.page_size),
        "after": paging.after(message, request.page_token),
    }


def _in_state(state: State | None, now: datetime) -> Document:
    match state:
        case State.OPEN:
            return {"justified": None, "review_by": {"$gt": now}}
        case State.OVERDUE:
            return {"justified": None, "review_by": {"$lte": now}}
        case State.JUSTIFIED | State.UNJUSTIFIED:
            return {"justified": state is State.JUSTIFIED}
        case None:
            return {}


def _operations_only(call: Call) -> None:
    if call.caller.service is None:
        raise Denied(
            missing="this is for the operators of the exchange",
            missing_zh="此操作仅限交换平台运营方",
        )
