"""The exchange, asked over mutual TLS as its operators' service: it lets operations see all."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from eldex.api.exchange.v1 import access_service_pb2 as access
from eldex.api.exchange.v1 import catalogue_service_pb2 as catalogue
from eldex.api.exchange.v1 import delivery_service_pb2 as delivery
from eldex.api.exchange.v1 import evidence_service_pb2 as evidence
from eldex.api.exchange.v1 import exchange_service_pb2 as exchange
from eldex.common.errors import Language, NotFound
from eldex.console.domain.deliveries import Lag, Subscription, Undelivered
from eldex.console.domain.people import Act
from eldex.console.domain.proofs import LogLine, LogSearch
from eldex.console.domain.sharing import (
    AccessRequest,
    Agreement,
    AgreementChange,
    AgreementVersion,
    Explanation,
    Page,
    Resource,
    SharingClass,
)
from eldex.console.handlers.exchange_ports import (
    Bundle,
    Decision,
    DeliveryChange,
    ExchangeSilent,
)
from eldex.console.peers import Refused
from eldex.console.peers.asking import A_PAGE, AT_ONCE, Asking
from eldex.console.wire import exchange as wire

_BUNDLE: Final = "EvidenceService/GetBundle"


class PeerExchange(Asking):
    """`Exchange` by gRPC."""

    # --- agreements --------------------------------------------------------------------------------

    async def agreements(self, subsystem: str, page: str) -> Page[Agreement]:
        """Some of the agreements, in the order of their keys."""
        request = exchange.ListAgreementsRequest(
            subsystem=subsystem, page_size=A_PAGE, page_token=page
        )
        answer = await self._ask(
            "ExchangeService/ListAgreements", request, exchange.ListAgreementsResponse
        )
        return Page(tuple(map(wire.agreement, answer.agreements)), answer.next_page_token)

    async def all_agreements(self) -> list[Agreement]:
        """All of them."""
        request = exchange.ListAgreementsRequest(page_size=AT_ONCE)
        return [
            wire.agreement(each)
            async for answer in self._pages(
                "ExchangeService/ListAgreements", request, exchange.ListAgreementsResponse
            )
            for each in answer.agreements
        ]

    async def versions(self, key: str) -> list[AgreementVersion]:
        """Every version of an agreement, newest first."""
        request = access.ListAgreementVersionsRequest(agreement_key=key, page_size=AT_ONCE)
        try:
            return [
                wire.agreement_version(each)
                async for answer in self._pages(
                    "AccessService/ListAgreementVersions",
                    request,
                    access.ListAgreementVersionsResponse,
                )
                for each in answer.versions
            ]
        except Refused as error:
            if error.reason == NotFound.reason:
                return []
            raise

    async def agreement_changes(self, page: str) -> Page[AgreementChange]:
        """Some of the changes that wait for a second operator, in the order of the agreements' keys."""
        request = exchange.ListAgreementChangesRequest(
            waiting_only=True, page_size=A_PAGE, page_token=page
        )
        answer = await self._ask(
            "ExchangeService/ListAgreementChanges", request, exchange.ListAgreementChangesResponse
        )
        return Page(tuple(map(wire.agreement_change, answer.changes)), answer.next_page_token)

    async def agreement_change(self, key: str) -> AgreementChange | None:
        """The newest change that was asked for of an agreement."""
        async for answer in self._pages(
            "ExchangeService/ListAgreementChanges",
            exchange.ListAgreementChangesRequest(page_size=AT_ONCE),
            exchange.ListAgreementChangesResponse,
        ):
            for each in answer.changes:
                if each.wanted.agreement_key == key:
                    return wire.agreement_change(each)
        return None

    async def decide_change(self, decision: Decision, by: str, language: Language) -> None:
        """Approve or refuse a change; raises a `DomainError` with the reason why not."""
        request = exchange.DecideAgreementChangeRequest(
            request_id=decision.request_id,
            agreement_key=decision.key,
            etag=decision.etag,
            approved=decision.act is Act.APPROVE_CHANGE,
            decided_by=by,
            reason=decision.reason,
        )
        await self._ask(
            "ExchangeService/DecideAgreementChange",
            request,
            exchange.DecideAgreementChangeResponse,
            language,
        )

    async def explain(self, index: int) -> Explanation:
        """Why the call of a record was decided as it was."""
        request = access.ExplainDecisionRequest(log_index=index)
        return wire.explanation(
            await self._ask(
                "AccessService/ExplainDecision", request, access.ExplainDecisionResponse
            )
        )

    # --- the catalogue -----------------------------------------------------------------------------

    async def resources(
        self, provider: str, sharing_class: SharingClass | None, page: str
    ) -> Page[Resource]:
        """Some of the resources, in the order of their codes."""
        request = catalogue.ListResourcesRequest(
            provider=provider,
            sharing_class=wire.CLASSES[sharing_class] if sharing_class else 0,  # type: ignore[arg-type]
            page_size=A_PAGE,
            page_token=page,
        )
        answer = await self._ask(
            "CatalogueService/ListResources", request, catalogue.ListResourcesResponse
        )
        return Page(tuple(map(wire.resource, answer.resources)), answer.next_page_token)

    async def providers(self) -> list[str]:
        """The provider of each resource."""
        request = catalogue.ListResourcesRequest(page_size=AT_ONCE)
        request.read_mask.paths.append("provider")
        return [
            each.provider.member
            async for answer in self._pages(
                "CatalogueService/ListResources", request, catalogue.ListResourcesResponse
            )
            for each in answer.resources
        ]

    async def resource(self, code: str) -> Resource:
        """One resource, with its items."""
        request = catalogue.GetResourceRequest(resource_code=code)
        answer = await self._ask(
            "CatalogueService/GetResource", request, catalogue.GetResourceResponse
        )
        return wire.resource(answer.resource)

    async def access_requests(
        self, page: str, *, state: str = "", resource: str = "", agreement: str = ""
    ) -> Page[AccessRequest]:
        """Some of the requests for access, oldest first."""
        request = catalogue.ListAccessRequestsRequest(
            state=wire.STATES.get(state, 0),  # type: ignore[arg-type]
            resource_code=resource,
            agreement_key=agreement,
            page_size=A_PAGE,
            page_token=page,
        )
        answer = await self._ask(
            "CatalogueService/ListAccessRequests", request, catalogue.ListAccessRequestsResponse
        )
        return Page(tuple(map(wire.access_request, answer.access_requests)), answer.next_page_token)

    # --- the log -----------------------------------------------------------------------------------

    async def records(self, search: LogSearch, page: str) -> Page[LogLine]:
        """Some of the records that fit, newest first."""
        request = evidence.ListRecordsRequest(
            subsystem=search.subsystem,
            method=search.method,
            agreement_key=search.agreement_key,
            code=search.code,
            trace_id=search.trace_id,
            kind=search.kind,
            from_time=_timestamp(search.since),
            until_time=_timestamp(search.until),
            page_size=A_PAGE,
            page_token=page,
        )
        answer = await self._ask(
            "EvidenceService/ListRecords", request, evidence.ListRecordsResponse
        )
        return Page(tuple(map(wire.log_line, answer.records)), answer.next_page_token)

    async def bundle(self, index: int) -> Bundle:
        """A record with its proof, under a co-signed head if there is one, and the keys it names."""
        keys = await self._ask(
            "EvidenceService/GetLogKey", evidence.GetLogKeyRequest(), evidence.GetLogKeyResponse
        )
        has_witnesses = any(line.startswith("witness ") for line in keys.policy.splitlines())
        request = evidence.GetBundleRequest(log_index=index, cosigned=has_witnesses)
        try:
            found = await self._ask(_BUNDLE, request, evidence.GetBundleResponse)
        except ExchangeSilent as silent:
            if silent.code != "NO_COSIGNATURE":
                raise
            request.cosigned = False
            found = await self._ask(_BUNDLE, request, evidence.GetBundleResponse)
        return Bundle(found.bundle, keys.origin, keys.policy)

    # --- deliveries --------------------------------------------------------------------------------

    async def subscriptions(self, page: str) -> Page[Subscription]:
        """Some of the subscriptions with their lag, in the order of their keys."""
        request = delivery.ListEventSubscriptionsRequest(page_size=A_PAGE, page_token=page)
        answer = await self._ask(
            "DeliveryService/ListEventSubscriptions",
            request,
            delivery.ListEventSubscriptionsResponse,
        )
        lags = await asyncio.gather(
            *(self._lag(each.subsystem, each.subscription_name) for each in answer.subscriptions)
        )
        found = map(wire.subscription, answer.subscriptions, lags)
        return Page(tuple(found), answer.next_page_token)

    async def subscribers(self) -> list[str]:
        """The subsystem of each subscription."""
        request = delivery.ListEventSubscriptionsRequest(page_size=AT_ONCE)
        request.read_mask.paths.append("subsystem")
        return [
            each.subsystem
            async for answer in self._pages(
                "DeliveryService/ListEventSubscriptions",
                request,
                delivery.ListEventSubscriptionsResponse,
            )
            for each in answer.subscriptions
        ]

    async def subscription(self, subsystem: str, name: str) -> Subscription:
        """One subscription with its lag."""
        request = delivery.GetSubscriptionRequest(subsystem=subsystem, subscription_name=name)
        answer = await self._ask(
            "DeliveryService/GetSubscription", request, delivery.GetSubscriptionResponse
        )
        return wire.subscription(answer.subscription, await self._lag(subsystem, name))

    async def _lag(self, subsystem: str, name: str) -> Lag | None:
        request = delivery.GetLagRequest(subsystem=subsystem, subscription_name=name)
        try:
            answer = await self._ask("DeliveryService/GetLag", request, delivery.GetLagResponse)
        except (ExchangeSilent, NotFound):
            return None  # given up meanwhile, or too slow: the page says that it is not known
        return wire.lag(answer.lag)

    async def undelivered(
        self, subsystem: str, name: str, page: str, *, everything: bool
    ) -> Page[Undelivered]:
        """Some of the dead letters of a subscription, in the order of their numbers."""
        request = delivery.ListDeadLettersRequest(
            subsystem=subsystem,
            subscription_name=name,
            include_redelivered=everything,
            page_size=A_PAGE,
            page_token=page,
        )
        answer = await self._ask(
            "DeliveryService/ListDeadLetters", request, delivery.ListDeadLettersResponse
        )
        return Page(tuple(map(wire.undelivered, answer.dead_letters)), answer.next_page_token)

    async def change(self, change: DeliveryChange, language: Language) -> None:
        """Do what an operator asks; raises a `DomainError` with the reason why not."""
        whose: dict[str, Any] = {
            "request_id": change.request_id,
            "subsystem": change.subsystem,
            "subscription_name": change.name,
        }
        request: Message
        response: type[Message]
        match change.act:
            case Act.PAUSE:
                method, request = "PauseSubscription", delivery.PauseSubscriptionRequest(**whose)
                response = delivery.PauseSubscriptionResponse
            case Act.RESUME:
                method, request = "ResumeSubscription", delivery.ResumeSubscriptionRequest(**whose)
                response = delivery.ResumeSubscriptionResponse
            case Act.REPLAY_SUBSCRIPTION:
                method, request = "ReplaySubscription", _replay(change, whose)
                response = delivery.ReplaySubscriptionResponse
            case Act.REDELIVER:
                method = "RedeliverDeadLetter"
                request = delivery.RedeliverDeadLetterRequest(
                    request_id=change.request_id, dead_letter_key=change.letter_key
                )
                response = delivery.RedeliverDeadLetterResponse
            case _:
                raise ValueError(f"{change.act} is nothing that is done to a subscription")
        await self._ask(f"DeliveryService/{method}", request, response, language)


def _timestamp(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    made = Timestamp()
    made.FromDatetime(at)
    return made


def _replay(change: DeliveryChange, whose: dict[str, Any]) -> delivery.ReplaySubscriptionRequest:
    request = delivery.ReplaySubscriptionRequest(**whose)
    if change.from_time is not None:
        request.from_time.FromDatetime(change.from_time)
    else:
        request.after_cursor = change.after_cursor or 0
    return request
