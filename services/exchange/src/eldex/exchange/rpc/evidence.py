"""`eldex.api.exchange.v1.EvidenceService`: heads, proofs, records, ledgers; witnessing and forgetting."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from eldex.api.exchange.v1 import evidence_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.dates import instant
from eldex.common.errors import Denied
from eldex.common.logs import logger
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document, UnitOfWork
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.errors import EvidenceError
from eldex.evidence.note import Note, Verifier
from eldex.evidence.receipts import MalformedReceipt, Receipt
from eldex.exchange.domain.message_log import (
    CheckpointForked,
    LoggedRecord,
    NoCosignature,
    NotWitnessable,
    ReceiptUnknown,
    Shredding,
    SizeUnknown,
)
from eldex.exchange.domain.operators import Operator
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.evidence import (
    EvidenceLog,
    Partners,
    SubjectKeys,
    approve_shredding,
    request_shredding,
)
from eldex.exchange.rpc.roles import Roles, subsystem_of
from eldex.exchange.wire import evidence as wire

_FILTERS = ("subsystem", "method", "trace_id", "agreement_key", "purpose", "kind", "code")


class EvidenceService:
    """Answers what is asked of the evidence."""

    def __init__(
        self,
        work: UnitOfWork[Stores],
        log: EvidenceLog,
        keys: SubjectKeys,
        partners: Partners,
        roles: Roles,
        witness: Verifier,
    ) -> None:
        self._work, self._log, self._keys = work, log, keys
        self._partners, self._roles, self._witness = partners, roles, witness

    # --- keys, heads, proofs: for everybody ----------------------------------------------------------

    async def get_log_key(self, request: pb.GetLogKeyRequest, call: Call) -> pb.GetLogKeyResponse:
        """The keys to trust."""
        names = list(self._partners.witnesses)
        lines = [f"log {self._log.verifier}"]
        lines += [f"witness {name} {key}" for name, key in self._partners.witnesses.items()]
        lines += [f"group partners any {' '.join(names)}", "quorum partners"] if names else []
        lines += [] if names else ["quorum none"]
        response = pb.GetLogKeyResponse(
            origin=self._log.origin,
            verifier_key=str(self._log.verifier),
            witness_verifier_key=str(self._witness),
            policy="\n".join([*lines, ""]),
        )
        masks.keep(response, request.read_mask)
        return response

    async def get_checkpoint(
        self,
        request: pb.GetCheckpointRequest,
        call: Call,
    ) -> pb.GetCheckpointResponse:
        """The newest signed head."""
        note = await self._head(request.min_log_size, cosigned=request.cosigned)
        head = Checkpoint.parse(note.text)
        response = pb.GetCheckpointResponse(
            checkpoint=note.encode(), log_size=head.size, root_hash=head.root
        )
        masks.keep(response, request.read_mask)
        return response

    async def get_inclusion_proof(
        self,
        request: pb.GetInclusionProofRequest,
        call: Call,
    ) -> pb.GetInclusionProofResponse:
        """The proof that a record is in the log."""
        index = await self._index(request)
        size = request.log_size or _size(await self._head(index + 1))
        response = pb.GetInclusionProofResponse(
            log_index=index, log_size=size, hashes=await self._log.inclusion_proof(index, size)
        )
        masks.keep(response, request.read_mask)
        return response

    async def get_consistency_proof(
        self,
        request: pb.GetConsistencyProofRequest,
        call: Call,
    ) -> pb.GetConsistencyProofResponse:
        """The proof that the log only grew."""
        new = request.new_size or _size(await self._head(request.old_size))
        response = pb.GetConsistencyProofResponse(
            old_size=request.old_size,
            new_size=new,
            hashes=await self._log.consistency_proof(request.old_size, new),
        )
        masks.keep(response, request.read_mask)
        return response

    # --- records: one's own, or by right -------------------------------------------------------------

    async def get_bundle(self, request: pb.GetBundleRequest, call: Call) -> pb.GetBundleResponse:
        """A record with its proof and a signed head."""
        index = await self._index(request)
        await self._visible_record(index, call)
        note = await self._head(index + 1, cosigned=request.cosigned)
        response = pb.GetBundleResponse(bundle=await self._log.bundle(index, note))
        masks.keep(response, request.read_mask)
        return response

    async def get_record(self, request: pb.GetRecordRequest, call: Call) -> pb.GetRecordResponse:
        """A record."""
        found = await self._visible_record(await self._index(request), call)
        response = pb.GetRecordResponse(record=wire.log_record(found))
        masks.keep(response.record, request.read_mask)
        return response

    async def list_records(
        self, request: pb.ListRecordsRequest, call: Call
    ) -> pb.ListRecordsResponse:
        """Records, newest first."""
        where: Document = {name: value for name in _FILTERS if (value := getattr(request, name))}
        if request.denied_only:
            where["denied"] = True
        times = {}
        if request.HasField("from_time"):
            times["$gte"] = instant(request.from_time)
        if request.HasField("until_time"):
            times["$lt"] = instant(request.until_time)
        if times:
            where["answered_at"] = times
        if not self._roles.sees_all(call):
            if where.get("subsystem", subsystem_of(call)) != subsystem_of(call):
                self._roles.right(call)  # says which right is missing
            where["subsystem"] = subsystem_of(call)
        records, token = await self._page(where, request)
        response = pb.ListRecordsResponse(
            records=[wire.log_record(each) for each in records], next_page_token=token
        )
        for each in response.records:
            masks.keep(each, request.read_mask)
        return response

    async def list_subject_ledger(
        self, request: pb.ListSubjectLedgerRequest, call: Call
    ) -> pb.ListSubjectLedgerResponse:
        """Who saw what about somebody."""
        self._roles.right(call)
        hashes = [
            self._keys.hash(period, request.subject_key)
            for period in await asyncio.to_thread(self._keys.periods)
        ]
        records, token = await self._page({"subjects": {"$in": hashes}}, request)
        page = await self._work.read(lambda stores: stores.shreddings.page({}, size=500))
        response = pb.ListSubjectLedgerResponse(
            records=[wire.log_record(each) for each in records],
            forgotten_periods=[each.key for each in page.items if each.is_approved],
            next_page_token=token,
        )
        for each in response.records:
            masks.keep(each, request.read_mask)
        return response

    async def list_segments(
        self, request: pb.ListSegmentsRequest, call: Call
    ) -> pb.ListSegmentsResponse:
        """The files of the log."""
        self._roles.right(call)
        start = paging.after_number(request, request.page_token)
        wanted = [
            each
            for each in await self._log.segments()
            if (start is None or each.first_index > start)
            and not (request.archivable_only and (each.is_archived or not each.is_sealed))
        ]
        size = paging.size(request.page_size)
        more = str(wanted[size - 1].first_index) if len(wanted) > size else None
        response = pb.ListSegmentsResponse(
            segments=[wire.log_segment(each) for each in wanted[:size]],
            next_page_token=paging.token(request, more),
        )
        for each in response.segments:
            masks.keep(each, request.read_mask)
        return response

    # --- witnessing ----------------------------------------------------------------------------------

    async def add_checkpoint(
        self, request: pb.AddCheckpointRequest, call: Call
    ) -> pb.AddCheckpointResponse:
        """Co-sign the head of a partner's log."""
        try:
            line = await asyncio.to_thread(
                self._partners.add_checkpoint,
                request.old_size,
                list(request.hashes),
                request.checkpoint,
                _seconds(call.at),
            )
        except CheckpointForked:
            # Either there are two histories, or this caller's proof was wrong: people must look.
            logger().error("partner_log_contradicted", caller=str(call.caller))
            raise
        return pb.AddCheckpointResponse(cosignature=line)

    async def add_cosignature(
        self,
        request: pb.AddCosignatureRequest,
        call: Call,
    ) -> pb.AddCosignatureResponse:
        """Take over a partner's cosignature."""
        try:
            head = Checkpoint.parse(Note.parse(request.checkpoint).text)
        except EvidenceError as error:
            raise NotWitnessable(why=str(error)) from error
        root = await self._log.root(head.size)
        newest = await asyncio.to_thread(self._partners.add_cosignature, request.checkpoint, root)
        return pb.AddCosignatureResponse(log_size=_size(newest))

    # --- forgetting ----------------------------------------------------------------------------------

    async def request_shredding(
        self, request: pb.RequestShreddingRequest, call: Call
    ) -> pb.RequestShreddingResponse:
        """Ask that a month be forgotten."""
        who = Operator(self._roles.seat(call), request.requested_by)
        period, reason = request.period, request.reason
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: request_shredding(period, reason, who, stores, now),
            lambda found: pb.RequestShreddingResponse(shredding=wire.shredding(found)),
        )

    async def approve_shredding(
        self, request: pb.ApproveShreddingRequest, call: Call
    ) -> pb.ApproveShreddingResponse:
        """Approve it, and forget."""
        who = Operator(self._roles.seat(call), request.approved_by)
        period = request.period
        response = await write(
            self._work,
            request,
            call,
            lambda stores, now: approve_shredding(period, who, stores, now),
            lambda found: pb.ApproveShreddingResponse(shredding=wire.shredding(found)),
        )
        await asyncio.to_thread(self._keys.destroy, period)
        logger().warning("subject_key_destroyed", period=period)
        return response

    async def list_shreddings(
        self, request: pb.ListShreddingsRequest, call: Call
    ) -> pb.ListShreddingsResponse:
        """What was asked for and done."""
        self._roles.right(call)
        page = await self._work.read(
            lambda stores: stores.shreddings.page(
                {},
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListShreddingsResponse(
            shreddings=[wire.shredding(each) for each in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for each in response.shreddings:
            masks.keep(each, request.read_mask)
        return response

    async def forget_what_was_approved(self) -> None:
        """Destroy the keys whose destruction was approved when the process died."""

        async def approved(stores: Stores) -> list[Shredding]:
            return [s for s in (await stores.shreddings.page({}, size=500)).items if s.is_approved]

        left = set(await asyncio.to_thread(self._keys.periods))
        for each in await self._work.read(approved):
            if each.key in left:
                await asyncio.to_thread(self._keys.destroy, each.key)
                logger().warning("subject_key_destroyed", period=each.key)

    # --- shared --------------------------------------------------------------------------------------

    async def _head(self, size: int, *, cosigned: bool = False) -> Note:
        """A signed head that covers so many records."""
        if size > self._log.size:
            raise SizeUnknown(size=self._log.size)
        if cosigned:
            newest = await asyncio.to_thread(self._partners.cosigned)
            if newest is None or _size(newest) < size:
                raise NoCosignature
            return newest
        note = self._log.note
        return note if _size(note) >= size else await self._log.publish()

    async def _index(self, request: Any) -> int:
        """Which record is meant."""
        if request.WhichOneof("record") == "log_index":
            return int(request.log_index)
        try:
            receipt = Receipt.parse(request.receipt)
        except MalformedReceipt as error:
            raise ReceiptUnknown from error
        if receipt.origin != self._log.origin or receipt.index >= self._log.size:
            raise ReceiptUnknown
        if await self._log.leaf_hash(receipt.index) != receipt.leaf_hash:
            logger().error("receipt_contradicts_log", index=receipt.index)
            raise ReceiptUnknown
        return receipt.index

    async def _visible_record(self, index: int, call: Call) -> LoggedRecord:
        found = await self._log.record(index)
        if not self._roles.is_own(found.record.subsystem, call) and not self._roles.sees_all(call):
            raise Denied(
                missing="this record is another member's; no agreement of yours names this method",
                missing_zh="该留痕属于其他成员单位，且贵单位没有涵盖此方法的协议",
            )
        return found

    async def _page(self, where: Document, request: Any) -> tuple[list[LoggedRecord], str]:
        before = paging.after_number(request, request.page_token)
        records, more = await self._log.search(
            where, size=paging.size(request.page_size), before=before
        )
        return records, paging.token(request, None if more is None else str(more))


def _size(note: Note) -> int:
    return Checkpoint.parse(note.text).size


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
