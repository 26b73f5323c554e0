"""Calls about cycles, payments and recoveries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from eldex.api.subsidies.v1 import subsidies_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.dates import day
from eldex.common.identifiers import RegionCode
from eldex.common.regions import Divisions
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document, UnitOfWork
from eldex.subsidies.domain.recovery import Recovery, RecoveryStatus
from eldex.subsidies.handlers import cycles, recoveries
from eldex.subsidies.handlers.ports import Stores
from eldex.subsidies.wire import enums
from eldex.subsidies.wire import payments as wire


class PaymentCalls:
    """What is paid, was paid, and is claimed back."""

    _work: UnitOfWork[Stores]
    _divisions: Divisions
    _wake: Callable[[], None]

    async def run_cycle(self, request: pb.RunCycleRequest, call: Call) -> pb.RunCycleResponse:
        """Begin the payment of a month; it runs in the background."""
        month, region = day(request.month, "month"), RegionCode.parse(request.region_code)
        self._divisions.get(region)
        response = await write(
            self._work,
            request,
            call,
            lambda stores, now: cycles.start_cycle(month, region, stores, now),
            lambda found: pb.RunCycleResponse(cycle=wire.cycle(found)),
        )
        self._wake()
        return response

    async def get_cycle(self, request: pb.GetCycleRequest, call: Call) -> pb.GetCycleResponse:
        """Read how far a cycle is."""
        found = await self._work.read(lambda s: s.cycles.get(request.cycle_key))
        response = pb.GetCycleResponse(cycle=wire.cycle(found))
        masks.keep(response.cycle, request.read_mask)
        return response

    async def list_cycles(self, request: pb.ListCyclesRequest, call: Call) -> pb.ListCyclesResponse:
        """List cycles of a division."""
        where: Document = {"lineage": str(RegionCode.parse(request.region_code))}
        page = await self._work.read(
            lambda stores: stores.cycles.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListCyclesResponse(
            cycles=[wire.cycle(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for cycle in response.cycles:
            masks.keep(cycle, request.read_mask)
        return response

    async def list_disbursements(
        self, request: pb.ListDisbursementsRequest, call: Call
    ) -> pb.ListDisbursementsResponse:
        """List payments."""
        named = ("payee_key", "entitlement_key", "cycle_key")
        where = {name: getattr(request, name) for name in named if getattr(request, name)}
        page = await self._work.read(
            lambda stores: stores.disbursements.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListDisbursementsResponse(
            disbursements=[wire.disbursement(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for disbursement in response.disbursements:
            masks.keep(disbursement, request.read_mask)
        return response

    async def get_recovery(
        self, request: pb.GetRecoveryRequest, call: Call
    ) -> pb.GetRecoveryResponse:
        """Read one recovery."""
        found = await self._work.read(lambda s: s.recoveries.get(request.recovery_key))
        response = pb.GetRecoveryResponse(recovery=wire.recovery(found))
        masks.keep(response.recovery, request.read_mask)
        return response

    async def list_recoveries(
        self, request: pb.ListRecoveriesRequest, call: Call
    ) -> pb.ListRecoveriesResponse:
        """List recoveries."""
        named = ("resident_key", "institution_key")
        where: Document = {n: getattr(request, n) for n in named if getattr(request, n)}
        if request.region_code:
            where["lineage"] = str(RegionCode.parse(request.region_code))
        if request.status:
            where["status"] = enums.read(RecoveryStatus, request.status, "status").value
        page = await self._work.read(
            lambda stores: stores.recoveries.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListRecoveriesResponse(
            recoveries=[wire.recovery(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for recovery in response.recoveries:
            masks.keep(recovery, request.read_mask)
        return response

    async def record_repayment(
        self, request: pb.RecordRepaymentRequest, call: Call
    ) -> pb.RecordRepaymentResponse:
        """Enter what came back."""
        repaid_on = day(request.repaid_on, "repaid_on")

        async def act(stores: Stores, now: datetime) -> Recovery:
            return await recoveries.record_repayment(
                request.recovery_key,
                request.amount_fen,
                repaid_on,
                request.reference,
                request.etag,
                stores,
                now,
            )

        return await write(
            self._work,
            request,
            call,
            act,
            lambda found: pb.RecordRepaymentResponse(recovery=wire.recovery(found)),
        )

    async def write_off_recovery(
        self, request: pb.WriteOffRecoveryRequest, call: Call
    ) -> pb.WriteOffRecoveryResponse:
        """Give up a part or all of a claim."""

        async def act(stores: Stores, now: datetime) -> Recovery:
            return await recoveries.write_off(
                request.recovery_key,
                request.amount_fen,
                request.decision,
                request.etag,
                stores,
                now,
            )

        return await write(
            self._work,
            request,
            call,
            act,
            lambda found: pb.WriteOffRecoveryResponse(recovery=wire.recovery(found)),
        )
