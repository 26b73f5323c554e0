"""`eldex.api.exchange.v1.CatalogueService`: what there is, how to get it, what of it was wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from eldex.api.exchange.v1 import catalogue_pb2 as nouns
from eldex.api.exchange.v1 import catalogue_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.aggregate import Page
from eldex.common.clock import Clock, day_of
from eldex.common.errors import Denied
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document, Mark, UnitOfWork
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.answer_deadlines import DeadlineRules
from eldex.exchange.domain.catalogue import Description, Resource
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers import catalogue as handlers
from eldex.exchange.handlers.catalogue import Actor
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.masking import event_paths
from eldex.exchange.wire import catalogue as wire
from eldex.exchange.wire.catalogue_export import exported

SERVICE: Final = "/eldex.api.exchange.v1.CatalogueService/"
_MOST = 10_000
_CLASSES = {number: each.value for each, number in wire.CLASSES.items()}
_REQUEST_STATES = {number: each.value for each, number in wire.REQUEST_STATES.items()}
_CORRECTION_STATES = {number: each.value for each, number in wire.CORRECTION_STATES.items()}

T = TypeVar("T")


class CatalogueService:
    """Answers the calls about the catalogue."""

    def __init__(
        self,
        work: UnitOfWork[Stores],
        agreements: AgreementTable,
        rules: DeadlineRules,
        city: RegionCode,
        clock: Clock,
    ) -> None:
        self._work, self._agreements, self._rules = work, agreements, rules
        self._city, self._clock = city, clock
        self._resource_of: dict[str, str] = {}

    async def publish(self, descriptions: Sequence[Description]) -> None:
        """Release what is new or changed, once among all replicas, and withdraw what is gone."""
        for description in descriptions:
            known = await self._work.read(
                lambda stores, code=description.code: stores.catalogue.resources.find(code)  # type: ignore[misc]
            )
            if known is not None and not known.differs_from(description):
                continue

            async def release(stores: Stores, now: Any, told: Description = description) -> None:
                await handlers.publish(told, self._city, stores, now)

            digest = hashlib.sha256(repr(description).encode()).hexdigest()
            based_on = known.version if known else 0
            await self._work.write(
                Mark(f"catalogue/{description.code}/{based_on}/{digest}"), release
            )
        codes = [description.code for description in descriptions]
        present = await self._all({"withdrawn_on": None})
        if gone := [found.key for found in present if found.key not in codes]:
            await self._work.write(
                Mark(f"catalogue-withdrawn/{self._clock().timestamp()}/{gone[0]}"),
                lambda stores, now: handlers.withdraw_others(codes, stores, now),
            )
        self._resource_of = {
            door.method: description.code
            for description in descriptions
            for door in description.doors
        }

    async def export(self, provider: str = "") -> tuple[bytes, int]:
        """The catalogue in the national form, and how many resources it tells of."""
        where: Document = {"withdrawn_on": None}
        if provider:
            where["provider"] = provider
        found = await self._all(where)
        return exported(str(self._city), found, day_of(self._clock())), len(found)

    async def _all(self, where: Document) -> list[Resource]:
        page = await self._work.read(
            lambda stores: stores.catalogue.resources.page(where, size=_MOST)
        )
        return page.items

    async def list_resources(
        self, request: pb.ListResourcesRequest, call: Call
    ) -> pb.ListResourcesResponse:
        """The resources: everybody may know what there is."""
        where: Document = {"withdrawn_on": None}
        if request.provider:
            where["provider"] = request.provider
        if request.sharing_class:
            where["sharing_class"] = _CLASSES[request.sharing_class]
        page = await self._page(request, lambda stores: stores.catalogue.resources, where)
        response = pb.ListResourcesResponse(
            resources=[wire.resource(found) for found in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        _mask(response.resources, request)
        return response

    async def get_resource(
        self, request: pb.GetResourceRequest, call: Call
    ) -> pb.GetResourceResponse:
        """One resource, withdrawn ones too."""
        found = await self._work.read(
            lambda stores: stores.catalogue.resources.get(request.resource_code)
        )
        response = pb.GetResourceResponse(resource=wire.resource(found))
        masks.keep(response.resource, request.read_mask)
        return response

    async def export_catalogue(
        self, request: pb.ExportCatalogueRequest, call: Call
    ) -> pb.ExportCatalogueResponse:
        """The catalogue as the national hub reads it."""
        content, count = await self.export(request.provider)
        return pb.ExportCatalogueResponse(
            document=nouns.CatalogueDocument(
                content_type="application/json",
                content=content,
                digest=hashlib.sha256(content).digest(),
                resources=count,
            )
        )

    async def request_access(
        self, request: pb.RequestAccessRequest, call: Call
    ) -> pb.RequestAccessResponse:
        """Ask for a resource."""
        command = wire.request_access(request, _subsystem(call))
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.request_access(
                command, self._rules, self._city, stores, now
            ),
            lambda made: pb.RequestAccessResponse(
                access_request=wire.access_request(made, self._today())
            ),
        )

    async def list_access_requests(
        self, request: pb.ListAccessRequestsRequest, call: Call
    ) -> pb.ListAccessRequestsResponse:
        """The requests that concern the caller."""
        where = _concerning(actor_of(call))
        if request.state:
            where["state"] = _REQUEST_STATES[request.state]
        if request.resource_code:
            where["resource_code"] = request.resource_code
        if request.agreement_key:
            where["agreement_key"] = request.agreement_key
        page = await self._page(request, lambda stores: stores.catalogue.access_requests, where)
        response = pb.ListAccessRequestsResponse(
            access_requests=[wire.access_request(each, self._today()) for each in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        _mask(response.access_requests, request)
        return response

    async def decide_access_request(
        self, request: pb.DecideAccessRequestRequest, call: Call
    ) -> pb.DecideAccessRequestResponse:
        """Approve or refuse; a grant counts from the next call on."""
        command = wire.decide_access_request(request, actor_of(call))
        response = await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.decide_access_request(command, event_paths, stores, now),
            lambda done: pb.DecideAccessRequestResponse(
                access_request=wire.access_request(done, self._today())
            ),
        )
        await self._agreements.refresh()
        return response

    async def request_correction(
        self, request: pb.RequestCorrectionRequest, call: Call
    ) -> pb.RequestCorrectionResponse:
        """Report a fact as wrong."""
        command = wire.request_correction(request, _subsystem(call))
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.request_correction(
                command, self._rules, self._city, stores, now
            ),
            lambda made: pb.RequestCorrectionResponse(
                correction=wire.correction(made, self._today())
            ),
        )

    async def list_corrections(
        self, request: pb.ListCorrectionsRequest, call: Call
    ) -> pb.ListCorrectionsResponse:
        """The correction requests that concern the caller."""
        where = _concerning(actor_of(call))
        if request.state:
            where["state"] = _CORRECTION_STATES[request.state]
        page = await self._page(request, lambda stores: stores.catalogue.corrections, where)
        response = pb.ListCorrectionsResponse(
            corrections=[wire.correction(each, self._today()) for each in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        _mask(response.corrections, request)
        return response

    async def decide_correction(
        self, request: pb.DecideCorrectionRequest, call: Call
    ) -> pb.DecideCorrectionResponse:
        """Answer a correction request."""
        command = wire.decide_correction(request, actor_of(call))
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.decide_correction(command, stores, now),
            lambda done: pb.DecideCorrectionResponse(
                correction=wire.correction(done, self._today())
            ),
        )

    async def list_my_rights(
        self, request: pb.ListMyRightsRequest, call: Call
    ) -> pb.ListMyRightsResponse:
        """What the caller may call and subscribe to, by the agreements in force."""
        mine = _subsystem(call)
        today, after = self._today(), paging.after(request, request.page_token) or ""
        in_force: list[Agreement] = sorted(
            (a for a in self._agreements.of(mine) if a.holds(today) and a.key > after),
            key=lambda agreement: agreement.key,
        )
        rights = [wire.right(a, self._resource_of, request.resource_code) for a in in_force]
        if request.resource_code:
            rights = [right for right in rights if right.methods]
        size = paging.size(request.page_size)
        more = rights[size - 1].agreement_key if len(rights) > size else None
        response = pb.ListMyRightsResponse(
            rights=rights[:size], next_page_token=paging.token(request, more)
        )
        _mask(response.rights, request)
        return response

    async def _page(
        self, request: Any, port: Callable[[Stores], Any], where: Document
    ) -> Page[Any]:
        def ask(stores: Stores) -> Awaitable[Page[Any]]:
            found: Awaitable[Page[Any]] = port(stores).page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
            return found

        return await self._work.read(ask)

    def _today(self) -> Any:
        return day_of(self._clock())


def actor_of(call: Call) -> Actor:
    """Who acts: a member's subsystem, or the operator, whose calls come from a service of this house."""
    return Actor("" if call.caller.service is not None else _subsystem(call))


def _subsystem(call: Call) -> str:
    _, _, path = call.caller.path.partition("/")
    if not path.startswith("member/"):
        raise Denied(
            missing="only members have rights to ask for; this certificate is not a member's",
            missing_zh="只有成员单位可以申请或持有共享权限，该证书不属于成员单位",
        )
    return path


def _concerning(actor: Actor) -> Document:
    """What an actor may see: its own, what concerns its resources; the operator everything."""
    if not actor.subsystem:
        return {}
    return {"$or": [{"subsystem": actor.subsystem}, {"provider": actor.member}]}


def _mask(messages: Sequence[Message], request: Any) -> None:
    for message in messages:
        masks.keep(message, request.read_mask)
