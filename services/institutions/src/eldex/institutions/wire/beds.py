"""Beds and admissions on the wire."""

from __future__ import annotations

from eldex.api.institutions.v1 import bed_calls_pb2 as pb
from eldex.api.institutions.v1 import bed_pb2
from eldex.common.dates import day, proto_day
from eldex.common.store import Document
from eldex.institutions.domain.admission import Admission
from eldex.institutions.domain.bed import Bed
from eldex.institutions.handlers.beds import (
    AddBeds,
    AdmitResident,
    ConvertBed,
    DischargeResident,
    TransferResident,
    WithdrawBed,
)
from eldex.institutions.wire.codes import CLASSES, cause_code

BED_STATES: dict[int, Document] = {
    bed_pb2.BED_STATE_UNSPECIFIED: {"state": {"$in": ["free", "occupied"]}},
    bed_pb2.BED_STATE_FREE: {"state": "free"},
    bed_pb2.BED_STATE_OCCUPIED: {"state": "occupied"},
    bed_pb2.BED_STATE_WITHDRAWN: {"state": "withdrawn"},
}
"""What a list of beds is asked for, as a condition."""
ADMISSION_STATES: dict[int, Document] = {
    bed_pb2.ADMISSION_STATE_UNSPECIFIED: {},
    bed_pb2.ADMISSION_STATE_OPEN: {"state": "open"},
    bed_pb2.ADMISSION_STATE_ENDED: {"state": "ended"},
}
"""What a list of admissions is asked for, as a condition."""


def add_beds(request: pb.AddBedsRequest) -> AddBeds:
    """Read the request."""
    return AddBeds(
        request.institution_key,
        CLASSES.read(request.bed_class),
        tuple(request.labels),
        day(request.in_service_on, "in_service_on"),
    )


def convert_bed(request: pb.ConvertBedRequest) -> ConvertBed:
    """Read the request."""
    converted_on = day(request.converted_on, "converted_on")
    return ConvertBed(request.bed_key, request.etag, CLASSES.read(request.bed_class), converted_on)


def withdraw_bed(request: pb.WithdrawBedRequest) -> WithdrawBed:
    """Read the request."""
    return WithdrawBed(request.bed_key, request.etag, day(request.withdrawn_on, "withdrawn_on"))


def admit_resident(request: pb.AdmitResidentRequest) -> AdmitResident:
    """Read the request."""
    return AdmitResident(
        request.resident_key,
        request.bed_key,
        day(request.admitted_on, "admitted_on"),
        request.agreement_number,
    )


def discharge_resident(request: pb.DischargeResidentRequest) -> DischargeResident:
    """Read the request."""
    discharged_on = day(request.discharged_on, "discharged_on")
    return DischargeResident(request.admission_key, request.etag, discharged_on, request.note)


def transfer_resident(request: pb.TransferResidentRequest) -> TransferResident:
    """Read the request."""
    transferred_on = day(request.transferred_on, "transferred_on")
    return TransferResident(request.admission_key, request.etag, request.bed_key, transferred_on)


def bed(found: Bed) -> bed_pb2.Bed:
    """A bed as replies show it."""
    state = bed_pb2.BED_STATE_FREE
    if found.withdrawn_on is not None:
        state = bed_pb2.BED_STATE_WITHDRAWN
    elif found.occupant is not None:
        state = bed_pb2.BED_STATE_OCCUPIED
    return bed_pb2.Bed(
        bed_key=found.key,
        institution_key=found.institution_key,
        label=found.label,
        bed_class=CLASSES.write(found.bed_class),
        state=state,
        admission_key=found.occupant.admission_key if found.occupant else "",
        in_service_on=proto_day(found.in_service_on),
        settled_on=proto_day(found.settled_on),
        conversions=[
            bed_pb2.BedConversion(
                from_bed_class=CLASSES.write(each.from_bed_class),
                bed_class=CLASSES.write(each.bed_class),
                converted_on=proto_day(each.converted_on),
            )
            for each in found.conversions
        ],
        withdrawn_on=proto_day(found.withdrawn_on),
        region_code=str(found.region_code),
        etag=found.etag,
    )


def admission(found: Admission) -> bed_pb2.Admission:
    """An admission as replies show it."""
    is_open = found.ended_on is None
    return bed_pb2.Admission(
        admission_key=found.key,
        institution_key=found.institution_key,
        bed_key=found.bed_key,
        bed_class=CLASSES.write(found.bed_class),
        resident_key=found.resident_key,
        admitted_on=proto_day(found.admitted_on),
        agreement_number=found.agreement_number,
        state=bed_pb2.ADMISSION_STATE_OPEN if is_open else bed_pb2.ADMISSION_STATE_ENDED,
        ended_on=proto_day(found.ended_on),
        cause=cause_code(found.cause),
        previous_key=found.previous_key,
        carried_from=found.carried_from,
        region_code=str(found.region_code),
        etag=found.etag,
    )
