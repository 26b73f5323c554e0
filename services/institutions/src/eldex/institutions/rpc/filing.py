"""Institutions: filing, operation, exit."""

from __future__ import annotations

from eldex.api.institutions.v1 import filing_calls_pb2 as pb
from eldex.api.institutions.v1.institution_record_pb2 import Institution as InstitutionMessage
from eldex.common import masks
from eldex.common.clock import day_of
from eldex.common.dates import instant
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document
from eldex.institutions.domain.institution import Institution
from eldex.institutions.handlers import filing as handlers
from eldex.institutions.handlers.ports import Stores
from eldex.institutions.rpc.base import Part
from eldex.institutions.wire import filing as wire
from eldex.institutions.wire.codes import KINDS, STATUSES


class FilingPart(Part):
    """From filing to exit."""

    async def file_institution(
        self, request: pb.FileInstitutionRequest, call: Call
    ) -> pb.FileInstitutionResponse:
        """Take a filing."""
        command = wire.file_institution(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.file_institution(command, stores, self._tables, now),
            lambda found: pb.FileInstitutionResponse(institution=_shown(found, call)),
        )

    async def accept_filing(
        self, request: pb.AcceptFilingRequest, call: Call
    ) -> pb.AcceptFilingResponse:
        """Accept a filing at one level."""
        command = wire.accept_filing(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.change_institution(command, stores, now),
            lambda found: pb.AcceptFilingResponse(institution=_shown(found, call)),
        )

    async def return_filing(
        self, request: pb.ReturnFilingRequest, call: Call
    ) -> pb.ReturnFilingResponse:
        """Return a filing for correction."""
        command = wire.return_filing(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.change_institution(command, stores, now),
            lambda found: pb.ReturnFilingResponse(institution=_shown(found, call)),
        )

    async def amend_filing(
        self, request: pb.AmendFilingRequest, call: Call
    ) -> pb.AmendFilingResponse:
        """Correct a filing, or tell a change."""
        command = wire.amend_filing(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.amend_filing(command, stores, now),
            lambda found: pb.AmendFilingResponse(institution=_shown(found, call)),
        )

    async def review_filing(
        self, request: pb.ReviewFilingRequest, call: Call
    ) -> pb.ReviewFilingResponse:
        """Review a filing at the region's department."""
        command = wire.review_filing(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.change_institution(command, stores, now),
            lambda found: pb.ReviewFilingResponse(institution=_shown(found, call)),
        )

    async def start_operation(
        self, request: pb.StartOperationRequest, call: Call
    ) -> pb.StartOperationResponse:
        """Open a filed institution."""
        command = wire.start_operation(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.change_institution(command, stores, now),
            lambda found: pb.StartOperationResponse(institution=_shown(found, call)),
        )

    async def suspend_institution(
        self, request: pb.SuspendInstitutionRequest, call: Call
    ) -> pb.SuspendInstitutionResponse:
        """Suspend an institution."""
        command = wire.suspend_institution(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.change_institution(command, stores, now),
            lambda found: pb.SuspendInstitutionResponse(institution=_shown(found, call)),
        )

    async def resume_institution(
        self, request: pb.ResumeInstitutionRequest, call: Call
    ) -> pb.ResumeInstitutionResponse:
        """Resume an institution."""
        command = wire.resume_institution(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.change_institution(command, stores, now),
            lambda found: pb.ResumeInstitutionResponse(institution=_shown(found, call)),
        )

    async def plan_closure(
        self, request: pb.PlanClosureRequest, call: Call
    ) -> pb.PlanClosureResponse:
        """Announce that an institution will close."""
        command = wire.plan_closure(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.plan_closure(command, stores, self._tables, now),
            lambda found: pb.PlanClosureResponse(institution=_shown(found, call)),
        )

    async def close_institution(
        self, request: pb.CloseInstitutionRequest, call: Call
    ) -> pb.CloseInstitutionResponse:
        """Close an institution."""
        command = wire.close_institution(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.close_institution(command, stores, now),
            lambda found: pb.CloseInstitutionResponse(institution=_shown(found, call)),
        )

    async def get_institution(
        self, request: pb.GetInstitutionRequest, call: Call
    ) -> pb.GetInstitutionResponse:
        """Read one institution, as known now or at an earlier instant."""

        async def act(stores: Stores) -> Institution:
            if request.HasField("known_at"):
                known_at = instant(request.known_at)
                return await stores.institutions.known_at(request.institution_key, known_at)
            return await stores.institutions.get(request.institution_key)

        response = pb.GetInstitutionResponse(institution=_shown(await self._read(act), call))
        masks.keep(response.institution, request.read_mask)
        return response

    async def find_institution(
        self, request: pb.FindInstitutionRequest, call: Call
    ) -> pb.FindInstitutionResponse:
        """Find what a credit code runs."""
        credit_code = CreditCode.parse(request.credit_code)
        found = await self._read(lambda stores: handlers.find_institutions(credit_code, stores))
        response = pb.FindInstitutionResponse(institutions=[_shown(each, call) for each in found])
        for each in response.institutions:
            masks.keep(each, request.read_mask)
        return response

    async def list_institutions(
        self, request: pb.ListInstitutionsRequest, call: Call
    ) -> pb.ListInstitutionsResponse:
        """List institutions of a division."""
        where: Document = {"lineage": str(RegionCode.parse(request.region_code))}
        if kind := KINDS.read_optional(request.institution_kind):
            where["institution_kind"] = kind.value
        if status := STATUSES.read_optional(request.status):
            where["status"] = status.value
        if request.least_grade:
            today = day_of(call.at).isoformat()
            where["grade"] = {"$gte": request.least_grade}
            where["$or"] = [{"grade_ends_on": None}, {"grade_ends_on": {"$gt": today}}]
        found, following = await self._page(
            request, where, lambda stores: stores.institutions, lambda each: _shown(each, call)
        )
        return pb.ListInstitutionsResponse(institutions=found, next_page_token=following)


def _shown(found: Institution, call: Call) -> InstitutionMessage:
    return wire.institution(found, day_of(call.at))
