"""Calls about assessments of ability."""

from __future__ import annotations

from eldex.api.registry.v1 import assessment_pb2
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.clock import day_of
from eldex.common.dates import optional_day
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.registry.domain.assessments import Assessment
from eldex.registry.handlers import assessments
from eldex.registry.handlers.ports import Stores, standing
from eldex.registry.handlers.reading import record_keys
from eldex.registry.rpc.base import Calls, known_at, listed, masked
from eldex.registry.wire import assessments as wire
from eldex.registry.wire.residents import place


class AssessmentCalls(Calls):
    """Recording, disputing, explaining and reading assessments."""

    async def record_assessment(
        self, request: pb.RecordAssessmentRequest, call: Call
    ) -> pb.RecordAssessmentResponse:
        """Record an assessment."""
        command = wire.record(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: assessments.record_assessment(
                command, stores, self._tables.assessment_rules, now
            ),
            lambda found: pb.RecordAssessmentResponse(
                assessment=wire.assessment(*found, call.language)
            ),
        )

    async def dispute_assessment(
        self, request: pb.DisputeAssessmentRequest, call: Call
    ) -> pb.DisputeAssessmentResponse:
        """Open a dispute."""
        command = wire.dispute(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: assessments.dispute_assessment(command, stores, now),
            lambda found: pb.DisputeAssessmentResponse(
                assessment=wire.assessment(*found, call.language)
            ),
        )

    async def decide_dispute(
        self, request: pb.DecideDisputeRequest, call: Call
    ) -> pb.DecideDisputeResponse:
        """Decide the open dispute."""
        command = wire.decide(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: assessments.decide_dispute(command, stores, now),
            lambda found: pb.DecideDisputeResponse(
                assessment=wire.assessment(*found, call.language)
            ),
        )

    async def get_assessment(
        self, request: pb.GetAssessmentRequest, call: Call
    ) -> pb.GetAssessmentResponse:
        """Read one assessment, as known now or at an earlier instant."""
        instant = known_at(request)
        found, holder = await self._work.read(
            lambda stores: assessments.get_assessment(request.assessment_key, instant, stores)
        )
        message = wire.assessment(found, holder, call.language)
        return pb.GetAssessmentResponse(assessment=masked(message, request.read_mask))

    async def list_assessments(
        self, request: pb.ListAssessmentsRequest, call: Call
    ) -> pb.ListAssessmentsResponse:
        """List a person's assessments, those of merged records included."""

        async def act(stores: Stores) -> pb.ListAssessmentsResponse:
            resident, keys = await record_keys(request.resident_key, known_at(request), stores)
            holder = await standing(resident.key, stores, known_at(request))

            def message(found: Assessment) -> assessment_pb2.Assessment:
                return wire.assessment(found, holder, call.language)

            where = {"resident_key": {"$in": keys}}
            found, token = await listed(request, stores.assessments, where, lambda _: True, message)
            return pb.ListAssessmentsResponse(assessments=found, next_page_token=token)

        return await self._work.read(act)

    async def explain_assessment(
        self, request: pb.ExplainAssessmentRequest, call: Call
    ) -> pb.ExplainAssessmentResponse:
        """Show what would follow from findings."""
        outcome = assessments.explain_assessment(
            wire.findings(request.findings),
            place(request.region_code, "region_code"),
            optional_day(request.assessed_on, "assessed_on"),
            self._tables.assessment_rules,
            call.at,
        )
        return pb.ExplainAssessmentResponse(outcome=wire.outcome(outcome, call.language))

    async def get_assessment_rule(
        self, request: pb.GetAssessmentRuleRequest, call: Call
    ) -> pb.GetAssessmentRuleResponse:
        """Read the rule in force in a division on a day."""
        day = optional_day(request.day, "day") or day_of(call.at)
        region = RegionCode.parse(request.region_code)
        rule = wire.rule(self._tables.assessment_rules.in_force(region, day))
        return pb.GetAssessmentRuleResponse(assessment_rule=masked(rule, request.read_mask))
