"""Gradings, inspections, hazards and penalties."""

from __future__ import annotations

from eldex.api.institutions.v1 import supervision_calls_pb2 as pb
from eldex.common.dates import optional_day
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.institutions.domain.supervision import HazardState
from eldex.institutions.handlers import supervision as handlers
from eldex.institutions.rpc.base import Part, scope
from eldex.institutions.wire import supervision as wire
from eldex.institutions.wire.codes import HAZARD_STATES


class SupervisionPart(Part):
    """What authorities see to."""

    async def grade_institution(
        self, request: pb.GradeInstitutionRequest, call: Call
    ) -> pb.GradeInstitutionResponse:
        """Grade an institution."""
        command = wire.grade_institution(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.grade_institution(command, stores, self._tables, now),
            lambda grade: pb.GradeInstitutionResponse(grade=wire.grade(grade)),
        )

    async def record_inspection(
        self, request: pb.RecordInspectionRequest, call: Call
    ) -> pb.RecordInspectionResponse:
        """Record an inspection and what it found."""
        command = wire.record_inspection(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.record_inspection(command, stores, self._tables, now),
            lambda both: pb.RecordInspectionResponse(
                inspection=wire.inspection(both[0]),
                hazards=[wire.hazard(hazard) for hazard in both[1]],
            ),
        )

    async def open_hazard(self, request: pb.OpenHazardRequest, call: Call) -> pb.OpenHazardResponse:
        """Open a hazard by itself."""
        command = wire.open_hazard(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.open_hazard(command, stores, self._tables, now),
            lambda hazard: pb.OpenHazardResponse(hazard=wire.hazard(hazard)),
        )

    async def rectify_hazard(
        self, request: pb.RectifyHazardRequest, call: Call
    ) -> pb.RectifyHazardResponse:
        """Close a hazard."""
        command = wire.rectify_hazard(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.rectify_hazard(command, stores, now),
            lambda hazard: pb.RectifyHazardResponse(hazard=wire.hazard(hazard)),
        )

    async def impose_penalty(
        self, request: pb.ImposePenaltyRequest, call: Call
    ) -> pb.ImposePenaltyResponse:
        """Record a penalty."""
        command = wire.impose_penalty(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.impose_penalty(command, stores, now),
            lambda penalty: pb.ImposePenaltyResponse(penalty=wire.penalty(penalty)),
        )

    async def list_grades(self, request: pb.ListGradesRequest, call: Call) -> pb.ListGradesResponse:
        """List the gradings of an institution."""
        where = {"institution_key": request.institution_key}
        found, following = await self._page(
            request, where, lambda stores: stores.grades, wire.grade
        )
        return pb.ListGradesResponse(grades=found, next_page_token=following)

    async def list_inspections(
        self, request: pb.ListInspectionsRequest, call: Call
    ) -> pb.ListInspectionsResponse:
        """List inspections."""
        found, following = await self._page(
            request, scope(request), lambda stores: stores.inspections, wire.inspection
        )
        return pb.ListInspectionsResponse(inspections=found, next_page_token=following)

    async def list_hazards(
        self, request: pb.ListHazardsRequest, call: Call
    ) -> pb.ListHazardsResponse:
        """List hazards, all or the overdue ones."""
        where = scope(request)
        if state := HAZARD_STATES.read_optional(request.state):
            where["state"] = state.value
        if overdue_on := optional_day(request.overdue_on, "overdue_on"):
            # Still open then: not put right to this day, or only after that one.
            where["due_on"] = {"$lt": overdue_on.isoformat()}
            where["$or"] = [
                {"state": HazardState.OPEN.value},
                {"rectified_on": {"$gt": overdue_on.isoformat()}},
            ]
        found, following = await self._page(
            request, where, lambda stores: stores.hazards, wire.hazard
        )
        return pb.ListHazardsResponse(hazards=found, next_page_token=following)

    async def list_penalties(
        self, request: pb.ListPenaltiesRequest, call: Call
    ) -> pb.ListPenaltiesResponse:
        """List penalties."""
        found, following = await self._page(
            request, scope(request), lambda stores: stores.penalties, wire.penalty
        )
        return pb.ListPenaltiesResponse(penalties=found, next_page_token=following)
