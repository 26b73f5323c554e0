"""The part of `ExchangeService` that is about agreements: seeing them, and changing them by two people."""

from __future__ import annotations

from eldex.api.exchange.v1 import exchange_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.errors import Denied
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document, UnitOfWork
from eldex.exchange import wire
from eldex.exchange.domain.agreement_changes import ChangeState
from eldex.exchange.domain.operators import Operator
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.agreements import decide_agreement_change, propose_agreement
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.masking import check_grants
from eldex.exchange.rpc.roles import Roles


class AgreementCalls:
    """Answers the calls about agreements."""

    def __init__(self, work: UnitOfWork[Stores], agreements: AgreementTable, roles: Roles) -> None:
        self._work, self._agreements, self._roles = work, agreements, roles

    async def list_agreements(
        self, request: pb.ListAgreementsRequest, call: Call
    ) -> pb.ListAgreementsResponse:
        """The agreements: a department sees its own, operations see all."""
        where = visible(call, request.subsystem)
        page = await self._work.read(
            lambda stores: stores.agreements.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListAgreementsResponse(
            agreements=[wire.agreement(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for agreement in response.agreements:
            masks.keep(agreement, request.read_mask)
        return response

    async def put_agreement(
        self, request: pb.PutAgreementRequest, call: Call
    ) -> pb.PutAgreementResponse:
        """Ask that an agreement be made or changed; what only takes away is in force at once."""
        who = Operator(self._roles.seat(call), request.proposed_by)
        wanted = wire.agreement_in(request.agreement)
        check_grants(wanted)
        etag = request.agreement.etag
        response = await write(
            self._work,
            request,
            call,
            lambda stores, now: propose_agreement(wanted, etag, who, stores, now),
            lambda made: pb.PutAgreementResponse(**wire.outcome(*made)),
        )
        await self._agreements.refresh()
        return response

    async def decide_agreement_change(
        self, request: pb.DecideAgreementChangeRequest, call: Call
    ) -> pb.DecideAgreementChangeResponse:
        """Decide what another operator asked for; approved, it is in force."""
        who = Operator(self._roles.seat(call), request.decided_by)
        response = await write(
            self._work,
            request,
            call,
            lambda stores, now: decide_agreement_change(
                request.agreement_key,
                request.etag,
                who,
                stores,
                now,
                approved=request.approved,
                reason=request.reason,
            ),
            lambda made: pb.DecideAgreementChangeResponse(**wire.outcome(*made)),
        )
        await self._agreements.refresh()
        return response

    async def list_agreement_changes(
        self, request: pb.ListAgreementChangesRequest, call: Call
    ) -> pb.ListAgreementChangesResponse:
        """What was asked for of each agreement last."""
        self._roles.seat(call)
        where: Document = {"state": ChangeState.WAITING.value} if request.waiting_only else {}
        page = await self._work.read(
            lambda stores: stores.agreement_changes.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListAgreementChangesResponse(
            changes=[wire.agreement_change(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for change in response.changes:
            masks.keep(change, request.read_mask)
        return response


def member_of(call: Call) -> str:
    """The member's subsystem that calls; raises `Denied` for a service."""
    _, _, path = call.caller.path.partition("/")
    if not path.startswith("member/"):
        raise Denied(
            missing="only members subscribe; this certificate is not a member's",
            missing_zh="只有成员单位可以订阅，该证书不属于成员单位",
        )
    return path


def visible(call: Call, subsystem: str) -> Document:
    """Which of what belongs to subsystems a caller may see: a member its own, operators all."""
    if call.caller.service is not None:
        return {"subsystem": subsystem} if subsystem else {}
    return {"subsystem": member_of(call)}
