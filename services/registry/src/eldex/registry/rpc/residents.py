"""Calls about residents."""

from __future__ import annotations

from datetime import date

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.clock import day_of
from eldex.common.dates import optional_day
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document
from eldex.registry.domain.residents import Resident
from eldex.registry.handlers import merges, residents
from eldex.registry.handlers.ports import Stores
from eldex.registry.rpc.base import Calls, known_at
from eldex.registry.wire import residents as wire
from eldex.registry.wire.enums import CLASSES, LEVELS


class ResidentCalls(Calls):
    """Entering, reading, moving, correcting and merging residents."""

    async def register_resident(
        self, request: pb.RegisterResidentRequest, call: Call
    ) -> pb.RegisterResidentResponse:
        """Enter a person in the registry."""
        command, today = wire.register_resident(request, call), day_of(call.at)
        divisions = self._tables.divisions
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: residents.register_resident(command, stores, divisions, now),
            lambda found: pb.RegisterResidentResponse(resident=wire.resident(found, today)),
        )

    async def move_resident(
        self, request: pb.MoveResidentRequest, call: Call
    ) -> pb.MoveResidentResponse:
        """Register a move."""
        command, today = wire.move_resident(request), day_of(call.at)
        divisions = self._tables.divisions
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: residents.move_resident(command, stores, divisions, now),
            lambda found: pb.MoveResidentResponse(resident=wire.resident(found, today)),
        )

    async def correct_resident(
        self, request: pb.CorrectResidentRequest, call: Call
    ) -> pb.CorrectResidentResponse:
        """Correct what was entered wrongly."""
        command, today = wire.correct_resident(request, call), day_of(call.at)
        divisions = self._tables.divisions
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: residents.correct_resident(command, stores, divisions, now),
            lambda found: pb.CorrectResidentResponse(resident=wire.resident(found, today)),
        )

    async def merge_residents(
        self, request: pb.MergeResidentsRequest, call: Call
    ) -> pb.MergeResidentsResponse:
        """Join two records of one person."""
        command, today = wire.merge_residents(request), day_of(call.at)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: merges.merge_residents(command, stores, now),
            lambda both: pb.MergeResidentsResponse(
                merged=wire.resident(both[0], today),
                survivor=wire.resident(both[1], today, doubts=both[2]),
            ),
        )

    async def reverse_merge(
        self, request: pb.ReverseMergeRequest, call: Call
    ) -> pb.ReverseMergeResponse:
        """Undo a merge."""
        command, today = wire.reverse_merge(request), day_of(call.at)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: merges.reverse_merge(command, stores, now),
            lambda both: pb.ReverseMergeResponse(
                resident=wire.resident(both[0], today), survivor=wire.resident(both[1], today)
            ),
        )

    async def get_resident(
        self, request: pb.GetResidentRequest, call: Call
    ) -> pb.GetResidentResponse:
        """Read one resident, as known now or at an earlier instant."""
        instant = known_at(request)

        async def read(stores: Stores) -> tuple[Resident, list[str]]:
            found = await residents.get_resident(request.resident_key, instant, stores)
            return found, [] if instant else await residents.doubts(found, stores)

        found, doubts = await self._work.read(read)
        resident = wire.resident(found, day_of(instant or call.at), with_number=True, doubts=doubts)
        response = pb.GetResidentResponse(resident=resident)
        masks.keep(response.resident, request.read_mask, wire.HIDDEN)
        return response

    async def find_resident(
        self, request: pb.FindResidentRequest, call: Call
    ) -> pb.FindResidentResponse:
        """Find the resident whom a document names."""
        today = day_of(call.at)
        document = wire.document(request.document, today)
        found = await self._work.read(lambda stores: residents.find_resident(document, stores))
        response = pb.FindResidentResponse(resident=wire.resident(found, today, with_number=True))
        masks.keep(response.resident, request.read_mask, wire.HIDDEN)
        return response

    async def list_residents(
        self, request: pb.ListResidentsRequest, call: Call
    ) -> pb.ListResidentsResponse:
        """List residents of a division."""
        today = day_of(call.at)
        where = _matching(request, today)
        page = await self._work.read(
            lambda stores: stores.residents.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListResidentsResponse(
            residents=[wire.resident(found, today, with_number=True) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for resident in response.residents:
            masks.keep(resident, request.read_mask, wire.HIDDEN)
        return response


def _matching(request: pb.ListResidentsRequest, today: date) -> Document:
    region = str(RegionCode.parse(request.region_code))
    where: Document = {"lineage": region}
    born: Document = {}
    if until := optional_day(request.born_until, "born_until"):
        born["$lte"] = until.isoformat()
    if since := optional_day(request.born_from, "born_from"):
        born["$gte"] = since.isoformat()
    if born:
        where["born_on"] = born
    if request.vital_status:
        where["vital_status"] = wire.STATUSES[request.vital_status].value
    if request.ability_level:
        where["ability_level"] = LEVELS[request.ability_level].value
    if request.eligibility_class:
        wanted = CLASSES[request.eligibility_class]
        # The tag finds by index who ever held the class there; the match says who does today.
        where["classes_at"] = f"{wanted.value}@{region}"
        where["classes"] = {
            "$elemMatch": {
                "eligibility_class": wanted.value,
                "valid_from": {"$lte": today.isoformat()},
                "$or": [{"valid_to": None}, {"valid_to": {"$gt": today.isoformat()}}],
            }
        }
        del where["lineage"]
    return where
