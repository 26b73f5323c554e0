"""Listings, their repair, and where a party stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.message import Message

from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.common import masks
from eldex.common.clock import day_of
from eldex.common.dates import instant, optional_day
from eldex.common.rpc.call import Call
from eldex.credit.domain.listing import Listing
from eldex.credit.domain.terms import SubjectKind
from eldex.credit.handlers import cases, listings
from eldex.credit.handlers.ports import Stores
from eldex.credit.rpc.calls import Calls
from eldex.credit.wire import cases as wire_cases
from eldex.credit.wire import listings as wire_listings
from eldex.credit.wire.terms import subject

M = TypeVar("M", bound=Message)


class ListingCalls(Calls):
    """Answers calls about listings."""

    async def propose_listing(
        self, request: pb.ProposeListingRequest, call: Call
    ) -> pb.ProposeListingResponse:
        """Think of putting a party on a list."""
        command = wire_listings.propose_listing(request)
        return await self._listing(
            request,
            call,
            lambda s, now: listings.propose_listing(command, s, now),
            pb.ProposeListingResponse,
        )

    async def notify_party(
        self, request: pb.NotifyPartyRequest, call: Call
    ) -> pb.NotifyPartyResponse:
        """Record that the party was told."""
        command = wire_listings.notify_party(request)
        return await self._listing(
            request,
            call,
            lambda s, now: listings.notify_party(command, s, now),
            pb.NotifyPartyResponse,
        )

    async def record_statement(
        self, request: pb.RecordStatementRequest, call: Call
    ) -> pb.RecordStatementResponse:
        """Record what the party or an objector says."""
        command = wire_listings.record_statement(request)
        return await self._listing(
            request,
            call,
            lambda s, now: listings.record_statement(command, s, now),
            pb.RecordStatementResponse,
        )

    async def decide_listing(
        self, request: pb.DecideListingRequest, call: Call
    ) -> pb.DecideListingResponse:
        """List the party, or drop the proposal."""
        command = wire_listings.decide_listing(request)
        return await self._listing(
            request,
            call,
            lambda s, now: listings.decide_listing(command, s, now),
            pb.DecideListingResponse,
        )

    async def enter_listing(
        self, request: pb.EnterListingRequest, call: Call
    ) -> pb.EnterListingResponse:
        """Enter a listing that was decided elsewhere."""
        command = wire_listings.enter_listing(request)
        return await self._listing(
            request,
            call,
            lambda s, now: listings.enter_listing(command, s, now),
            pb.EnterListingResponse,
        )

    async def revoke_listing(
        self, request: pb.RevokeListingRequest, call: Call
    ) -> pb.RevokeListingResponse:
        """End a listing by decision."""
        command = wire_listings.revoke_listing(request)
        return await self._listing(
            request,
            call,
            lambda s, now: listings.revoke_listing(command, s, now),
            pb.RevokeListingResponse,
        )

    async def apply_for_repair(
        self, request: pb.ApplyForRepairRequest, call: Call
    ) -> pb.ApplyForRepairResponse:
        """Hand in an application for credit repair."""
        command = wire_listings.apply_for_repair(request)
        return await self._listing(
            request,
            call,
            lambda s, now: listings.apply_for_repair(command, s, now),
            pb.ApplyForRepairResponse,
        )

    async def record_repair_step(
        self, request: pb.RecordRepairStepRequest, call: Call
    ) -> pb.RecordRepairStepResponse:
        """Record a step of its examination."""
        command = wire_listings.record_repair_step(request)
        return await self._listing(
            request,
            call,
            lambda s, now: listings.record_repair_step(command, s, now),
            pb.RecordRepairStepResponse,
        )

    async def decide_repair(
        self, request: pb.DecideRepairRequest, call: Call
    ) -> pb.DecideRepairResponse:
        """Approve a repair, or refuse it."""
        command = wire_listings.decide_repair(request)
        return await self._listing(
            request,
            call,
            lambda s, now: listings.decide_repair(command, s, now),
            pb.DecideRepairResponse,
        )

    async def get_listing(self, request: pb.GetListingRequest, call: Call) -> pb.GetListingResponse:
        """Read one listing, as known now or at an earlier instant."""

        async def act(stores: Stores) -> pb.GetListingResponse:
            if request.HasField("known_at"):
                known_at = instant(request.known_at)
                found = await stores.listings.known_at(request.listing_key, known_at)
            else:
                found = await stores.listings.get(request.listing_key)
            return pb.GetListingResponse(listing=wire_listings.listing(found))

        response = await self._work.read(act)
        masks.keep(response.listing, request.read_mask)
        return response

    async def list_listings(
        self, request: pb.ListListingsRequest, call: Call
    ) -> pb.ListListingsResponse:
        """List listings by subject, list, division, state and day."""
        where = wire_listings.list_listings(request)
        found, token = await self.page(
            request, where, lambda stores: stores.listings, wire_listings.listing
        )
        return pb.ListListingsResponse(listings=found, next_page_token=token)

    async def check_subject(
        self, request: pb.CheckSubjectRequest, call: Call
    ) -> pb.CheckSubjectResponse:
        """Tell where a party stands on a day."""
        who = subject(request.subject)
        on = optional_day(request.on, "on") or day_of(call.at)

        async def act(stores: Stores) -> pb.CheckSubjectResponse:
            verdict = await listings.check_subject(who, on, stores)
            response = wire_listings.check_subject(verdict)
            if who.kind is SubjectKind.ORGANISATION:
                for each in await cases.responsibilities(who, on, stores):
                    response.responsibilities.append(wire_cases.responsibility(each))
            return response

        return await self._work.read(act)

    async def _listing(
        self,
        request: Any,
        call: Call,
        act: Callable[[Stores, datetime], Awaitable[Listing]],
        response: Callable[..., M],
    ) -> M:
        """Run an act on a listing; answers the listing as it is after it."""
        return await self.write(
            request,
            call,
            act,
            lambda found: response(listing=wire_listings.listing(found)),
        )
