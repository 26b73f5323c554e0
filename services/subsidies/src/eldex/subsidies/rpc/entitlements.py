"""Calls about entitlements of persons and grants to institutions."""

from __future__ import annotations

from datetime import datetime

from eldex.api.subsidies.v1 import subsidies_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.dates import day
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document, UnitOfWork
from eldex.subsidies.domain.entitlement import Entitlement, Status
from eldex.subsidies.handlers import entitlements, institutions
from eldex.subsidies.handlers.ports import Stores
from eldex.subsidies.wire import entitlements as wire
from eldex.subsidies.wire import enums


class EntitlementCalls:
    """Who gets what, and what officials do about it."""

    _work: UnitOfWork[Stores]

    async def get_entitlement(
        self, request: pb.GetEntitlementRequest, call: Call
    ) -> pb.GetEntitlementResponse:
        """Read one entitlement."""
        found = await self._work.read(lambda s: s.entitlements.get(request.entitlement_key))
        response = pb.GetEntitlementResponse(entitlement=wire.entitlement(found))
        masks.keep(response.entitlement, request.read_mask)
        return response

    async def list_entitlements(
        self, request: pb.ListEntitlementsRequest, call: Call
    ) -> pb.ListEntitlementsResponse:
        """List entitlements of a person or a division."""
        where: Document = {}
        if request.resident_key:
            where["resident_key"] = request.resident_key
        _narrow(where, request)
        page = await self._work.read(
            lambda stores: stores.entitlements.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListEntitlementsResponse(
            entitlements=[wire.entitlement(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for entitlement in response.entitlements:
            masks.keep(entitlement, request.read_mask)
        return response

    async def stop_entitlement(
        self, request: pb.StopEntitlementRequest, call: Call
    ) -> pb.StopEntitlementResponse:
        """Stop an entitlement by hand."""
        command = wire.stop(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: entitlements.hold_entitlement(command, stores, now),
            lambda found: pb.StopEntitlementResponse(entitlement=wire.entitlement(found)),
        )

    async def end_entitlement(
        self, request: pb.EndEntitlementRequest, call: Call
    ) -> pb.EndEntitlementResponse:
        """End an entitlement by hand."""
        command = wire.end(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: entitlements.hold_entitlement(command, stores, now),
            lambda found: pb.EndEntitlementResponse(entitlement=wire.entitlement(found)),
        )

    async def resume_entitlement(
        self, request: pb.ResumeEntitlementRequest, call: Call
    ) -> pb.ResumeEntitlementResponse:
        """Let an entitlement go on."""
        resumed_on = day(request.resumed_on, "resumed_on")

        async def act(stores: Stores, now: datetime) -> Entitlement:
            return await entitlements.resume_entitlement(
                request.entitlement_key, resumed_on, request.etag, stores, now
            )

        return await write(
            self._work,
            request,
            call,
            act,
            lambda found: pb.ResumeEntitlementResponse(entitlement=wire.entitlement(found)),
        )

    async def grant_carer_award(
        self, request: pb.GrantCarerAwardRequest, call: Call
    ) -> pb.GrantCarerAwardResponse:
        """Award a care worker once."""
        command = wire.carer_award(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: entitlements.grant_carer_award(command, stores, now),
            lambda found: pb.GrantCarerAwardResponse(entitlement=wire.entitlement(found)),
        )

    async def get_institution_grant(
        self, request: pb.GetInstitutionGrantRequest, call: Call
    ) -> pb.GetInstitutionGrantResponse:
        """Read one grant."""
        found = await self._work.read(lambda s: s.grants.get(request.grant_key))
        response = pb.GetInstitutionGrantResponse(grant=wire.grant(found))
        masks.keep(response.grant, request.read_mask)
        return response

    async def list_institution_grants(
        self, request: pb.ListInstitutionGrantsRequest, call: Call
    ) -> pb.ListInstitutionGrantsResponse:
        """List grants of an institution or a division."""
        where: Document = {}
        if request.institution_key:
            where["institution_key"] = request.institution_key
        _narrow(where, request)
        page = await self._work.read(
            lambda stores: stores.grants.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListInstitutionGrantsResponse(
            grants=[wire.grant(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for grant in response.grants:
            masks.keep(grant, request.read_mask)
        return response

    async def grant_institution_subsidy(
        self, request: pb.GrantInstitutionSubsidyRequest, call: Call
    ) -> pb.GrantInstitutionSubsidyResponse:
        """Grant a one-off subsidy to an institution."""
        command = wire.institution_subsidy(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: institutions.grant_institution_subsidy(command, stores, now),
            lambda found: pb.GrantInstitutionSubsidyResponse(grant=wire.grant(found)),
        )


def _narrow(
    where: Document, request: pb.ListEntitlementsRequest | pb.ListInstitutionGrantsRequest
) -> None:
    if request.region_code:
        where["lineage"] = str(RegionCode.parse(request.region_code))
    if request.scheme_code:
        where["scheme_code"] = request.scheme_code
    if request.status:
        where["status"] = enums.read(Status, request.status, "status").value
