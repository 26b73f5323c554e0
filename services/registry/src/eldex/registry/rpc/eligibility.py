"""Calls about eligibility."""

from __future__ import annotations

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.dates import optional_day
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.registry.domain.eligibility import Eligibility
from eldex.registry.handlers import eligibility
from eldex.registry.handlers.ports import Stores
from eldex.registry.handlers.reading import record_keys
from eldex.registry.rpc.base import Calls, known_at, listed
from eldex.registry.wire import eligibility as wire


class EligibilityCalls(Calls):
    """Granting, ending and listing memberships in eligibility classes."""

    async def grant_eligibility(
        self, request: pb.GrantEligibilityRequest, call: Call
    ) -> pb.GrantEligibilityResponse:
        """Enter a person into a class."""
        command = wire.grant(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: eligibility.grant_eligibility(command, stores, now),
            lambda found: pb.GrantEligibilityResponse(eligibility=wire.eligibility(found)),
        )

    async def end_eligibility(
        self, request: pb.EndEligibilityRequest, call: Call
    ) -> pb.EndEligibilityResponse:
        """End a membership."""
        command = wire.end(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: eligibility.end_eligibility(command, stores, now),
            lambda found: pb.EndEligibilityResponse(eligibility=wire.eligibility(found)),
        )

    async def list_eligibilities(
        self, request: pb.ListEligibilitiesRequest, call: Call
    ) -> pb.ListEligibilitiesResponse:
        """List a person's memberships, those of merged records included."""
        valid_on = optional_day(request.valid_on, "valid_on")

        def wanted(found: Eligibility) -> bool:
            return valid_on is None or found.holds(valid_on)

        async def act(stores: Stores) -> pb.ListEligibilitiesResponse:
            _, keys = await record_keys(request.resident_key, known_at(request), stores)
            where = {"resident_key": {"$in": keys}}
            found, token = await listed(
                request, stores.eligibilities, where, wanted, wire.eligibility
            )
            return pb.ListEligibilitiesResponse(eligibilities=found, next_page_token=token)

        return await self._work.read(act)
