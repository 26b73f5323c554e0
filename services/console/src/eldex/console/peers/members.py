"""Who joins and with which certificates, asked of the exchange as its operators' service."""

from __future__ import annotations

from typing import Final

from eldex.api.exchange.v1 import catalogue_service_pb2 as catalogue
from eldex.api.exchange.v1 import membership_service_pb2 as membership
from eldex.api.exchange.v1.membership_pb2 import Joining as JoiningMessage
from eldex.common.errors import Language
from eldex.console.domain.membership import Certificate, Joining
from eldex.console.domain.people import Act
from eldex.console.domain.sharing import AccessRequest, Page
from eldex.console.handlers.exchange_ports import Decision
from eldex.console.peers.asking import A_PAGE, AT_ONCE, Asking
from eldex.console.wire import exchange as exchange_wire
from eldex.console.wire import members as wire

_JOININGS: Final = "MembershipService/ListJoinings"
_CERTIFICATES: Final = "MembershipService/ListCertificates"


class PeerMembers(Asking):
    """`Members` by gRPC."""

    async def joinings(self, state: str, page: str) -> Page[Joining]:
        """Some of the joinings in a state, oldest first."""
        request = membership.ListJoiningsRequest(
            state=wire.STATES[state], page_size=A_PAGE, page_token=page
        )
        answer = await self._ask(_JOININGS, request, membership.ListJoiningsResponse)
        asked = await self._asked_for(*answer.joinings) if state == "pending" else {}
        found = (wire.joining(each, asked.get(each.access_request_key)) for each in answer.joinings)
        return Page(tuple(found), answer.next_page_token)

    async def joining(self, key: str) -> Joining | None:
        """A joining that waits for decisions."""
        async for answer in self._pages(
            _JOININGS,
            membership.ListJoiningsRequest(state=wire.STATES["pending"], page_size=AT_ONCE),
            membership.ListJoiningsResponse,
        ):
            for each in answer.joinings:
                if each.joining_key == key:
                    asked = await self._asked_for(each)
                    return wire.joining(each, asked.get(each.access_request_key))
        return None

    async def _asked_for(self, *joinings: JoiningMessage) -> dict[str, AccessRequest]:
        """What these need first, by the key of the request."""
        wanted = {each.access_request_key for each in joinings}
        if not wanted:
            return {}
        return {
            each.request_key: exchange_wire.access_request(each)
            async for answer in self._pages(
                "CatalogueService/ListAccessRequests",
                catalogue.ListAccessRequestsRequest(
                    state=exchange_wire.STATES["pending"], page_size=AT_ONCE
                ),
                catalogue.ListAccessRequestsResponse,
            )
            for each in answer.access_requests
            if each.request_key in wanted
        }

    async def decide(self, decision: Decision, by: str, language: Language) -> None:
        """Admit or refuse for the operator; raises a `DomainError` with the reason why not."""
        request = membership.DecideJoiningRequest(
            request_id=decision.request_id,
            joining_key=decision.key,
            approved=decision.act is Act.ADMIT_MEMBER,
            reason=decision.reason,
            official_code=by,
            etag=decision.etag,
        )
        await self._ask(
            "MembershipService/DecideJoining", request, membership.DecideJoiningResponse, language
        )

    async def certificates(self, subsystem: str, page: str, *, revoked: bool) -> Page[Certificate]:
        """Some of the certificates, or of the revoked ones, by serial number."""
        request = membership.ListCertificatesRequest(
            subsystem=subsystem, revoked_only=revoked, page_size=A_PAGE, page_token=page
        )
        answer = await self._ask(_CERTIFICATES, request, membership.ListCertificatesResponse)
        return Page(tuple(map(wire.certificate, answer.certificates)), answer.next_page_token)

    async def all_certificates(self, subsystem: str) -> list[Certificate]:
        """All of them."""
        request = membership.ListCertificatesRequest(subsystem=subsystem, page_size=AT_ONCE)
        return [
            wire.certificate(each)
            async for answer in self._pages(
                _CERTIFICATES, request, membership.ListCertificatesResponse
            )
            for each in answer.certificates
        ]

    async def revoke(self, decision: Decision, language: Language) -> None:
        """Have a certificate count no more; raises a `DomainError` with the reason why not."""
        request = membership.RevokeCertificateRequest(
            request_id=decision.request_id,
            serial_number=decision.key,
            with_renewed=decision.with_renewed,
            reason=decision.reason,
        )
        await self._ask(
            "MembershipService/RevokeCertificate",
            request,
            membership.RevokeCertificateResponse,
            language,
        )
