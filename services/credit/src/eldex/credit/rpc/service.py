"""The service: listings (`listings.py`), cases, workers, disclosures, parameters."""

from __future__ import annotations

from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.common import masks
from eldex.common.clock import day_of
from eldex.common.dates import optional_day
from eldex.common.rpc.call import Call
from eldex.credit.handlers import cases, disclosures, parameters, workers
from eldex.credit.rpc.listings import ListingCalls
from eldex.credit.wire import cases as wire_cases
from eldex.credit.wire import disclosures as wire_disclosures
from eldex.credit.wire import parameters as wire_parameters
from eldex.credit.wire import workers as wire_workers
from eldex.credit.wire.terms import scope


class CreditService(ListingCalls):
    """Answers credit's calls."""

    async def open_case(self, request: pb.OpenCaseRequest, call: Call) -> pb.OpenCaseResponse:
        """Open a case."""
        command = wire_cases.open_case(request)
        return await self.write(
            request,
            call,
            lambda stores, now: cases.open_case(command, stores, now),
            lambda found: pb.OpenCaseResponse(case=wire_cases.case(found)),
        )

    async def close_case(self, request: pb.CloseCaseRequest, call: Call) -> pb.CloseCaseResponse:
        """Close a case with its finding."""
        command = wire_cases.close_case(request)
        return await self.write(
            request,
            call,
            lambda stores, now: cases.close_case(command, stores, now),
            lambda found: pb.CloseCaseResponse(case=wire_cases.case(found)),
        )

    async def get_case(self, request: pb.GetCaseRequest, call: Call) -> pb.GetCaseResponse:
        """Read one case."""
        found = await self._work.read(lambda stores: stores.cases.get(request.case_key))
        response = pb.GetCaseResponse(case=wire_cases.case(found))
        masks.keep(response.case, request.read_mask)
        return response

    async def list_cases(self, request: pb.ListCasesRequest, call: Call) -> pb.ListCasesResponse:
        """List cases by subject, kind, state and division."""
        where = wire_cases.list_cases(request)
        found, token = await self.page(request, where, lambda s: s.cases, wire_cases.case)
        return pb.ListCasesResponse(cases=found, next_page_token=token)

    async def record_commitment(
        self, request: pb.RecordCommitmentRequest, call: Call
    ) -> pb.RecordCommitmentResponse:
        """Record a commitment letter."""
        command = wire_cases.record_commitment(request)
        return await self.write(
            request,
            call,
            lambda stores, now: cases.record_commitment(command, stores, now),
            lambda found: pb.RecordCommitmentResponse(
                responsibilities=[wire_cases.responsibility(each) for each in found]
            ),
        )

    async def open_worker_file(
        self, request: pb.OpenWorkerFileRequest, call: Call
    ) -> pb.OpenWorkerFileResponse:
        """Open a worker's credit file."""
        command = wire_workers.open_worker_file(request, day_of(call.at))
        return await self.write(
            request,
            call,
            lambda stores, now: workers.open_worker_file(command, stores, now),
            lambda found: pb.OpenWorkerFileResponse(worker_file=wire_workers.worker_file(found)),
        )

    async def record_conduct(
        self, request: pb.RecordConductRequest, call: Call
    ) -> pb.RecordConductResponse:
        """Enter a commendation or misconduct in a file."""
        command = wire_workers.record_conduct(request)
        return await self.write(
            request,
            call,
            lambda stores, now: workers.record_conduct(command, stores, now),
            lambda found: pb.RecordConductResponse(
                worker_file=wire_workers.worker_file(found[0]), conduct_key=found[1]
            ),
        )

    async def appeal_conduct(
        self, request: pb.AppealConductRequest, call: Call
    ) -> pb.AppealConductResponse:
        """Take a worker's appeal."""
        command = wire_workers.appeal_conduct(request)
        return await self.write(
            request,
            call,
            lambda stores, now: workers.appeal_conduct(command, stores, now),
            lambda found: pb.AppealConductResponse(worker_file=wire_workers.worker_file(found)),
        )

    async def decide_appeal(
        self, request: pb.DecideAppealRequest, call: Call
    ) -> pb.DecideAppealResponse:
        """Decide on a worker's appeal."""
        command = wire_workers.decide_appeal(request)
        return await self.write(
            request,
            call,
            lambda stores, now: workers.decide_appeal(command, stores, now),
            lambda found: pb.DecideAppealResponse(worker_file=wire_workers.worker_file(found)),
        )

    async def get_worker_file(
        self, request: pb.GetWorkerFileRequest, call: Call
    ) -> pb.GetWorkerFileResponse:
        """Read one worker's file."""
        found = await self._work.read(lambda stores: stores.workers.get(request.worker_key))
        response = pb.GetWorkerFileResponse(
            worker_file=wire_workers.worker_file(found, with_number=True)
        )
        masks.keep(response.worker_file, request.read_mask, wire_workers.HIDDEN)
        return response

    async def find_worker_file(
        self, request: pb.FindWorkerFileRequest, call: Call
    ) -> pb.FindWorkerFileResponse:
        """Find the file of the worker whom a document names."""
        document = wire_workers.document(request.document, day_of(call.at))
        found = await self._work.read(lambda stores: workers.find_worker_file(document, stores))
        response = pb.FindWorkerFileResponse(
            worker_file=wire_workers.worker_file(found, with_number=True)
        )
        masks.keep(response.worker_file, request.read_mask, wire_workers.HIDDEN)
        return response

    async def list_worker_files(
        self, request: pb.ListWorkerFilesRequest, call: Call
    ) -> pb.ListWorkerFilesResponse:
        """List the files that a division keeps."""
        where = wire_workers.list_worker_files(request)
        found, token = await self.page(
            request,
            where,
            lambda stores: stores.workers,
            lambda file: wire_workers.worker_file(file, with_number=True),
            wire_workers.HIDDEN,
        )
        return pb.ListWorkerFilesResponse(worker_files=found, next_page_token=token)

    async def list_disclosures(
        self, request: pb.ListDisclosuresRequest, call: Call
    ) -> pb.ListDisclosuresResponse:
        """List records: what is due, what is overdue, what was disclosed."""
        today = day_of(call.at)
        found, token = await self.page(
            request,
            wire_disclosures.list_disclosures(request, today),
            lambda stores: stores.records,
            lambda record: wire_disclosures.disclosure(record, today),
        )
        return pb.ListDisclosuresResponse(disclosures=found, next_page_token=token)

    async def confirm_disclosure(
        self, request: pb.ConfirmDisclosureRequest, call: Call
    ) -> pb.ConfirmDisclosureResponse:
        """Record the platform's receipt."""
        command = wire_disclosures.confirm_disclosure(request)
        today = day_of(call.at)
        return await self.write(
            request,
            call,
            lambda stores, now: disclosures.confirm_disclosure(command, stores, now),
            lambda record: pb.ConfirmDisclosureResponse(
                disclosure=wire_disclosures.disclosure(record, today)
            ),
        )

    async def get_parameters(
        self, request: pb.GetParametersRequest, call: Call
    ) -> pb.GetParametersResponse:
        """Tell what counts in a division on a day."""
        region_code = scope(request.region_code)
        on = optional_day(request.on, "on") or day_of(call.at)
        found = await self._work.read(
            lambda stores: parameters.get_parameters(region_code, on, stores)
        )
        response = pb.GetParametersResponse(parameters=wire_parameters.parameters(found))
        masks.keep(response.parameters, request.read_mask)
        return response

    async def set_parameters(
        self, request: pb.SetParametersRequest, call: Call
    ) -> pb.SetParametersResponse:
        """Set rules of a division from a day on."""
        command = wire_parameters.set_parameters(request)
        return await self.write(
            request,
            call,
            lambda stores, now: parameters.set_parameters(command, stores, now),
            lambda found: pb.SetParametersResponse(parameters=wire_parameters.parameters(found)),
        )
