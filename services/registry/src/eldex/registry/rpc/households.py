"""Calls about households."""

from __future__ import annotations

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.errors import InvalidRequest, Violation
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document
from eldex.registry.domain.households import Household
from eldex.registry.handlers import households
from eldex.registry.handlers.ports import Stores
from eldex.registry.handlers.reading import record_keys
from eldex.registry.rpc.base import Calls, known_at, listed, masked
from eldex.registry.wire import households as wire


class HouseholdCalls(Calls):
    """Forming, changing, dissolving and reading households."""

    async def form_household(
        self, request: pb.FormHouseholdRequest, call: Call
    ) -> pb.FormHouseholdResponse:
        """Form a household."""
        command = wire.form(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: households.form_household(
                command, stores, self._tables.divisions, now
            ),
            lambda found: pb.FormHouseholdResponse(household=wire.household(found)),
        )

    async def add_household_member(
        self, request: pb.AddHouseholdMemberRequest, call: Call
    ) -> pb.AddHouseholdMemberResponse:
        """Add a member."""
        command = wire.add(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: households.add_household_member(command, stores, now),
            lambda found: pb.AddHouseholdMemberResponse(household=wire.household(found)),
        )

    async def remove_household_member(
        self, request: pb.RemoveHouseholdMemberRequest, call: Call
    ) -> pb.RemoveHouseholdMemberResponse:
        """Let a member leave."""
        command = wire.remove(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: households.remove_household_member(command, stores, now),
            lambda found: pb.RemoveHouseholdMemberResponse(household=wire.household(found)),
        )

    async def change_household_head(
        self, request: pb.ChangeHouseholdHeadRequest, call: Call
    ) -> pb.ChangeHouseholdHeadResponse:
        """Name another head."""
        command = wire.change_head(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: households.change_household_head(command, stores, now),
            lambda found: pb.ChangeHouseholdHeadResponse(household=wire.household(found)),
        )

    async def move_household(
        self, request: pb.MoveHouseholdRequest, call: Call
    ) -> pb.MoveHouseholdResponse:
        """Enter the new division."""
        command = wire.move(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: households.move_household(
                command, stores, self._tables.divisions, now
            ),
            lambda found: pb.MoveHouseholdResponse(household=wire.household(found)),
        )

    async def dissolve_household(
        self, request: pb.DissolveHouseholdRequest, call: Call
    ) -> pb.DissolveHouseholdResponse:
        """Dissolve a household."""
        command = wire.dissolve(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: households.dissolve_household(command, stores, now),
            lambda found: pb.DissolveHouseholdResponse(household=wire.household(found)),
        )

    async def get_household(
        self, request: pb.GetHouseholdRequest, call: Call
    ) -> pb.GetHouseholdResponse:
        """Read one household, as known now or at an earlier instant."""
        instant, key = known_at(request), request.household_key

        async def act(stores: Stores) -> Household:
            kept = stores.households
            return await (kept.known_at(key, instant) if instant else kept.get(key))

        found = wire.household(await self._work.read(act))
        return pb.GetHouseholdResponse(household=masked(found, request.read_mask))

    async def list_households(
        self, request: pb.ListHouseholdsRequest, call: Call
    ) -> pb.ListHouseholdsResponse:
        """List households of a person or of a division."""
        if not (request.resident_key or request.region_code):
            raise InvalidRequest(
                Violation(
                    "resident_key",
                    "resident_key 与 region_code 至少填写一项",
                    "resident_key or region_code must be given",
                    "REQUIRED",
                )
            )

        async def act(stores: Stores) -> pb.ListHouseholdsResponse:
            where: Document = {}
            keys: list[str] = []
            if request.resident_key:
                _, keys = await record_keys(request.resident_key, known_at(request), stores)
                where["members.resident_key"] = {"$in": keys}
            region = RegionCode.parse(request.region_code) if request.region_code else None
            if region:
                where["lineage"] = str(region)

            def wanted(household: Household) -> bool:
                if region and not region.contains(household.region_code):
                    return False
                if request.include_past:
                    return True
                present = {member.resident_key for member in household.present}
                return bool(present & set(keys) if keys else present)

            found, token = await listed(request, stores.households, where, wanted, wire.household)
            return pb.ListHouseholdsResponse(households=found, next_page_token=token)

        return await self._work.read(act)
