"""Beds and admissions."""

from __future__ import annotations

from eldex.api.institutions.v1 import bed_calls_pb2 as pb
from eldex.api.institutions.v1.bed_pb2 import Occupancy
from eldex.common import masks
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.institutions.handlers import beds as handlers
from eldex.institutions.rpc.base import Part, scope
from eldex.institutions.wire import beds as wire
from eldex.institutions.wire.codes import CLASSES, KINDS


class BedsPart(Part):
    """Who has which bed."""

    async def add_beds(self, request: pb.AddBedsRequest, call: Call) -> pb.AddBedsResponse:
        """Add beds to an institution."""
        command = wire.add_beds(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.add_beds(command, stores, now),
            lambda beds: pb.AddBedsResponse(beds=[wire.bed(bed) for bed in beds]),
        )

    async def convert_bed(self, request: pb.ConvertBedRequest, call: Call) -> pb.ConvertBedResponse:
        """Convert a bed to another class."""
        command = wire.convert_bed(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.convert_bed(command, stores, now),
            lambda bed: pb.ConvertBedResponse(bed=wire.bed(bed)),
        )

    async def withdraw_bed(
        self, request: pb.WithdrawBedRequest, call: Call
    ) -> pb.WithdrawBedResponse:
        """Take a bed out of service."""
        command = wire.withdraw_bed(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.withdraw_bed(command, stores, now),
            lambda bed: pb.WithdrawBedResponse(bed=wire.bed(bed)),
        )

    async def admit_resident(
        self, request: pb.AdmitResidentRequest, call: Call
    ) -> pb.AdmitResidentResponse:
        """Give a person a bed."""
        command = wire.admit_resident(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.admit_resident(command, stores, now),
            lambda found: pb.AdmitResidentResponse(admission=wire.admission(found)),
        )

    async def discharge_resident(
        self, request: pb.DischargeResidentRequest, call: Call
    ) -> pb.DischargeResidentResponse:
        """End an admission."""
        command = wire.discharge_resident(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.discharge_resident(command, stores, now),
            lambda found: pb.DischargeResidentResponse(admission=wire.admission(found)),
        )

    async def transfer_resident(
        self, request: pb.TransferResidentRequest, call: Call
    ) -> pb.TransferResidentResponse:
        """Give a person another bed."""
        command = wire.transfer_resident(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.transfer_resident(command, stores, now),
            lambda both: pb.TransferResidentResponse(
                ended=wire.admission(both[0]), admission=wire.admission(both[1])
            ),
        )

    async def list_beds(self, request: pb.ListBedsRequest, call: Call) -> pb.ListBedsResponse:
        """List beds by class and state."""
        where = scope(request) | wire.BED_STATES[request.state]
        if bed_class := CLASSES.read_optional(request.bed_class):
            where["bed_class"] = bed_class.value
        found, following = await self._page(request, where, lambda stores: stores.beds, wire.bed)
        return pb.ListBedsResponse(beds=found, next_page_token=following)

    async def get_admission(
        self, request: pb.GetAdmissionRequest, call: Call
    ) -> pb.GetAdmissionResponse:
        """Read one admission."""
        found = await self._read(lambda stores: stores.admissions.get(request.admission_key))
        response = pb.GetAdmissionResponse(admission=wire.admission(found))
        masks.keep(response.admission, request.read_mask)
        return response

    async def list_admissions(
        self, request: pb.ListAdmissionsRequest, call: Call
    ) -> pb.ListAdmissionsResponse:
        """List admissions of an institution, a person or a division."""
        where = scope(request) | wire.ADMISSION_STATES[request.state]
        found, following = await self._page(
            request, where, lambda stores: stores.admissions, wire.admission
        )
        return pb.ListAdmissionsResponse(admissions=found, next_page_token=following)

    async def get_occupancy(
        self, request: pb.GetOccupancyRequest, call: Call
    ) -> pb.GetOccupancyResponse:
        """Count the beds of a division by class."""
        region_code = RegionCode.parse(request.region_code)
        kind = KINDS.read_optional(request.institution_kind)
        counts = await self._read(lambda stores: stores.beds.counts(region_code, kind))
        response = pb.GetOccupancyResponse(
            occupancies=[
                Occupancy(
                    bed_class=CLASSES.write(bed_class), bed_count=beds, occupied_count=occupied
                )
                for bed_class, beds, occupied in counts
            ]
        )
        masks.keep(response, request.read_mask)
        return response
