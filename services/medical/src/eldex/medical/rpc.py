"""gRPC in: `eldex.api.medical.v1.MedicalService`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from eldex.api.medical.v1 import medical_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.aggregate import Aggregate
from eldex.common.clock import day_of
from eldex.common.dates import day, instant
from eldex.common.identifiers import RegionCode, RegionLevel
from eldex.common.regions import Divisions
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import UnitOfWork
from eldex.medical.handlers import claims, enrolments, parameters, rights
from eldex.medical.handlers.ports import Kept, Stores
from eldex.medical.wire import enums, replies, requests

A = TypeVar("A", bound=Aggregate)
M = TypeVar("M", bound=Message)


class MedicalService:
    """Answers the calls of medical insurance."""

    def __init__(self, work: UnitOfWork[Stores], divisions: Divisions) -> None:
        self._work, self._divisions = work, divisions

    async def open_enrolment(
        self, request: pb.OpenEnrolmentRequest, call: Call
    ) -> pb.OpenEnrolmentResponse:
        """Insure a person."""
        command = requests.open_enrolment(request)
        self._must_exist(command.region_code)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: enrolments.open_enrolment(command, stores, now),
            lambda done: pb.OpenEnrolmentResponse(
                enrolment=replies.enrolment(done, day_of(call.at))
            ),
        )

    async def suspend_enrolment(
        self, request: pb.SuspendEnrolmentRequest, call: Call
    ) -> pb.SuspendEnrolmentResponse:
        """Have an enrolment rest."""
        command = requests.suspend_enrolment(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: enrolments.suspend_enrolment(command, stores, now),
            lambda done: pb.SuspendEnrolmentResponse(
                enrolment=replies.enrolment(done, day_of(call.at))
            ),
        )

    async def resume_enrolment(
        self, request: pb.ResumeEnrolmentRequest, call: Call
    ) -> pb.ResumeEnrolmentResponse:
        """Have an enrolment give cover again."""
        command = requests.resume_enrolment(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: enrolments.resume_enrolment(command, stores, now),
            lambda done: pb.ResumeEnrolmentResponse(
                enrolment=replies.enrolment(done, day_of(call.at))
            ),
        )

    async def end_enrolment(
        self, request: pb.EndEnrolmentRequest, call: Call
    ) -> pb.EndEnrolmentResponse:
        """End an enrolment."""
        command = requests.end_enrolment(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: enrolments.end_enrolment(command, stores, now),
            lambda done: pb.EndEnrolmentResponse(
                enrolment=replies.enrolment(done, day_of(call.at))
            ),
        )

    async def get_enrolment(
        self, request: pb.GetEnrolmentRequest, call: Call
    ) -> pb.GetEnrolmentResponse:
        """Read one enrolment, as known now or at an earlier instant."""
        key = request.enrolment_key
        if request.HasField("known_at"):
            known_at = instant(request.known_at)
            found = await self._work.read(lambda stores: stores.enrolments.known_at(key, known_at))
        else:
            found = await self._work.read(lambda stores: stores.enrolments.get(key))
        response = pb.GetEnrolmentResponse(enrolment=replies.enrolment(found, day_of(call.at)))
        masks.keep(response.enrolment, request.read_mask)
        return response

    async def list_enrolments(
        self, request: pb.ListEnrolmentsRequest, call: Call
    ) -> pb.ListEnrolmentsResponse:
        """List enrolments; with a day, their status is that of the day."""
        where = requests.holding(request, request.covered_on, "covered_on")
        if (scheme := enums.SCHEMES.maybe(request.scheme)) is not None:
            where["scheme"] = scheme.value
        on = requests.day_or(request.covered_on, "covered_on", day_of(call.at))
        found, token = await self._page(
            request, where, lambda s: s.enrolments, lambda each: replies.enrolment(each, on)
        )
        return pb.ListEnrolmentsResponse(enrolments=found, next_page_token=token)

    async def check_cover(self, request: pb.CheckCoverRequest, call: Call) -> pb.CheckCoverResponse:
        """Whether a person is covered on a day, by whose fund, and if not, why not."""
        on = day(request.on, "on")
        found = await self._work.read(
            lambda stores: enrolments.check_cover(request.resident_key, on, stores)
        )
        return pb.CheckCoverResponse(
            resident_key=found.resident_key,
            basic=replies.cover(found.basic),
            long_term_care=replies.cover(found.long_term_care),
        )

    async def file_remote_care(
        self, request: pb.FileRemoteCareRequest, call: Call
    ) -> pb.FileRemoteCareResponse:
        """File that a person may be treated elsewhere."""
        command = requests.file_remote_care(request)
        self._must_exist(command.care_region_code)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: rights.file_remote_care(command, stores, now),
            lambda done: pb.FileRemoteCareResponse(filing=replies.filing(done)),
        )

    async def end_remote_filing(
        self, request: pb.EndRemoteFilingRequest, call: Call
    ) -> pb.EndRemoteFilingResponse:
        """End a remote filing."""
        command = requests.end_right(request.filing_key, request.ended_on, request.etag)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: rights.end_remote_filing(command, stores, now),
            lambda done: pb.EndRemoteFilingResponse(filing=replies.filing(done)),
        )

    async def list_remote_filings(
        self, request: pb.ListRemoteFilingsRequest, call: Call
    ) -> pb.ListRemoteFilingsResponse:
        """List remote filings."""
        found, token = await self._page(
            request,
            requests.holding(request, request.held_on, "held_on"),
            lambda s: s.filings,
            replies.filing,
        )
        return pb.ListRemoteFilingsResponse(filings=found, next_page_token=token)

    async def settle_claim(
        self, request: pb.SettleClaimRequest, call: Call
    ) -> pb.SettleClaimResponse:
        """Settle a claim."""
        command = requests.facts(request.facts)
        self._must_exist(command.care_region_code)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: claims.settle_claim(command, stores, now),
            lambda done: pb.SettleClaimResponse(claim=replies.claim(done)),
        )

    async def preview_settlement(
        self, request: pb.PreviewSettlementRequest, call: Call
    ) -> pb.PreviewSettlementResponse:
        """What a claim would come to, step by step; nothing is kept."""
        told = requests.facts(request.facts)
        self._must_exist(told.care_region_code)
        found = await self._work.read(
            lambda stores: claims.preview_settlement(told, stores, call.at)
        )
        split = found.split
        return pb.PreviewSettlementResponse(
            settlement=replies.settlement(told, found.basis, split.parts, split.steps)
        )

    async def reverse_settlement(
        self, request: pb.ReverseSettlementRequest, call: Call
    ) -> pb.ReverseSettlementResponse:
        """Take a settlement back."""
        command = requests.reverse_settlement(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: claims.reverse_settlement(command, stores, now),
            lambda done: pb.ReverseSettlementResponse(claim=replies.claim(done)),
        )

    async def get_claim(self, request: pb.GetClaimRequest, call: Call) -> pb.GetClaimResponse:
        """Read one claim."""
        found = await self._work.read(lambda stores: stores.claims.get(request.claim_key))
        response = pb.GetClaimResponse(claim=replies.claim(found))
        masks.keep(response.claim, request.read_mask)
        return response

    async def list_claims(self, request: pb.ListClaimsRequest, call: Call) -> pb.ListClaimsResponse:
        """List claims; of a person, those settled under records merged since included."""
        where, key = requests.claims(request), request.resident_key
        if key:
            keys = await self._work.read(lambda stores: claims.record_keys(key, stores))
            where["resident_key"] = {"$in": keys}
        found, token = await self._page(request, where, lambda s: s.claims, replies.claim)
        return pb.ListClaimsResponse(claims=found, next_page_token=token)

    async def grant_long_term_care(
        self, request: pb.GrantLongTermCareRequest, call: Call
    ) -> pb.GrantLongTermCareResponse:
        """Grant benefits of long-term-care insurance."""
        command = requests.grant_long_term_care(request)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: rights.grant_long_term_care(command, stores, now),
            lambda done: pb.GrantLongTermCareResponse(benefit=replies.benefit(done)),
        )

    async def end_long_term_care(
        self, request: pb.EndLongTermCareRequest, call: Call
    ) -> pb.EndLongTermCareResponse:
        """End benefits of long-term-care insurance."""
        command = requests.end_right(request.benefit_key, request.ended_on, request.etag)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: rights.end_long_term_care(command, stores, now),
            lambda done: pb.EndLongTermCareResponse(benefit=replies.benefit(done)),
        )

    async def list_long_term_care(
        self, request: pb.ListLongTermCareRequest, call: Call
    ) -> pb.ListLongTermCareResponse:
        """List benefits of long-term-care insurance."""
        found, token = await self._page(
            request,
            requests.holding(request, request.held_on, "held_on"),
            lambda s: s.benefits,
            replies.benefit,
        )
        return pb.ListLongTermCareResponse(benefits=found, next_page_token=token)

    async def contract_family_doctor(
        self, request: pb.ContractFamilyDoctorRequest, call: Call
    ) -> pb.ContractFamilyDoctorResponse:
        """Give a person a family doctor."""
        command = requests.contract_family_doctor(request)
        self._must_exist(command.region_code)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: rights.contract_family_doctor(command, stores, now),
            lambda done: pb.ContractFamilyDoctorResponse(contract=replies.contract(done)),
        )

    async def end_family_doctor_contract(
        self, request: pb.EndFamilyDoctorContractRequest, call: Call
    ) -> pb.EndFamilyDoctorContractResponse:
        """End a contract before its time."""
        command = requests.end_right(request.contract_key, request.ended_on, request.etag)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: rights.end_family_doctor_contract(command, stores, now),
            lambda done: pb.EndFamilyDoctorContractResponse(contract=replies.contract(done)),
        )

    async def list_family_doctor_contracts(
        self, request: pb.ListFamilyDoctorContractsRequest, call: Call
    ) -> pb.ListFamilyDoctorContractsResponse:
        """List family doctors' contracts."""
        found, token = await self._page(
            request,
            requests.holding(request, request.held_on, "held_on"),
            lambda s: s.contracts,
            replies.contract,
        )
        return pb.ListFamilyDoctorContractsResponse(contracts=found, next_page_token=token)

    async def get_parameters(
        self, request: pb.GetParametersRequest, call: Call
    ) -> pb.GetParametersResponse:
        """The numbers that can answer for a division on a day."""
        region = RegionCode.parse(request.region_code)
        on = requests.day_or(request.on, "on", day_of(call.at))
        name = enums.PARAMETER_NAMES.maybe(request.kind)
        found = await self._work.read(
            lambda stores: parameters.parameters_of(region, on, name, stores)
        )
        shown = _masked([replies.parameter(each) for each in found], request.read_mask)
        return pb.GetParametersResponse(parameters=shown)

    async def set_parameters(
        self, request: pb.SetParametersRequest, call: Call
    ) -> pb.SetParametersResponse:
        """Set policy numbers."""
        commands = requests.set_parameters(request)
        for each in commands:
            self._must_exist(each.region_code)
        return await write(
            self._work,
            request,
            call,
            lambda stores, _now: parameters.set_parameters(commands, stores),
            lambda done: pb.SetParametersResponse(
                parameters=[replies.parameter(each) for each in done]
            ),
        )

    def _must_exist(self, region_code: RegionCode) -> None:
        """Raise `UnknownDivision` for a code that never was one: a slip of the pen is another fund.

        An abolished one answers for services and funds of its time. Villages are in the table only
        where operations imported them: their township is looked for.
        """
        self._divisions.get(region_code.at(RegionLevel.TOWNSHIP) or region_code)

    async def _page(
        self,
        request: Any,
        where: Mapping[str, Any],
        port: Callable[[Stores], Kept[A]],
        reply: Callable[[A], M],
    ) -> tuple[list[M], str]:
        """A page of one kind, as shown, and the token with which it goes on."""
        size, after = paging.size(request.page_size), paging.after(request, request.page_token)
        page = await self._work.read(lambda s: port(s).page(where, size=size, after=after))
        shown = _masked([reply(each) for each in page.items], request.read_mask)
        return shown, paging.token(request, page.next_key)


def _masked(messages: list[M], mask: FieldMask) -> list[M]:
    for each in messages:
        masks.keep(each, mask)
    return messages
