"""`MembershipService`, and `JoiningService` on the port that asks for no certificate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from eldex.api.exchange.v1 import joining_service_pb2 as joining_pb
from eldex.api.exchange.v1 import membership_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.errors import Denied
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document, UnitOfWork
from eldex.exchange.domain.answer_deadlines import DeadlineRules
from eldex.exchange.domain.membership import JoiningState
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers import membership as handlers
from eldex.exchange.handlers.membership import AskToJoin, DecideJoining, Revoke
from eldex.exchange.handlers.membership_ports import MemberAuthority
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.catalogue import actor_of
from eldex.exchange.rpc.masking import event_paths
from eldex.exchange.rpc.revocation_watch import RevocationWatch
from eldex.exchange.rpc.roles import operators_only
from eldex.exchange.wire import catalogue as catalogue_wire
from eldex.exchange.wire import membership as wire

AUTHORIZATION: Final = "authorization"
_USUAL_HOURS: Final = 72
_STATES = {number: state.value for state, number in wire.STATES.items()}


@dataclass(frozen=True, slots=True)
class Known:
    """How members know the exchange."""

    tls_dir: Path
    """Whose ca.pem holds the authorities of the exchange's own certificate."""
    address: str
    """`host:port`."""

    def authorities(self) -> str:
        """PEM, as it is now."""
        return (self.tls_dir / "ca.pem").read_text()


class MembershipService:
    """Answers the calls about members."""

    def __init__(
        self,
        *,
        work: UnitOfWork[Stores],
        agreements: AgreementTable,
        authority: MemberAuthority,
        revocations: RevocationWatch,
        known: Known,
        city: RegionCode,
    ) -> None:
        self._work, self._agreements, self._authority = work, agreements, authority
        self._revocations, self._known, self._city = revocations, known, city

    async def invite_member(
        self, request: pb.InviteMemberRequest, call: Call
    ) -> pb.InviteMemberResponse:
        """Give out a token."""
        operators_only(call)
        valid = timedelta(hours=request.valid_hours or _USUAL_HOURS)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.invite(
                request.subsystem, request.token_digest, valid, self._city, stores, now
            ),
            lambda made: pb.InviteMemberResponse(joining=wire.joining(made)),
        )

    async def list_joinings(
        self, request: pb.ListJoiningsRequest, call: Call
    ) -> pb.ListJoiningsResponse:
        """The joinings that concern the caller."""
        actor = actor_of(call)
        where: Document = {"provider": actor.member} if actor.subsystem else {}
        if request.state:
            where["state"] = _STATES[request.state]
        page = await self._work.read(
            lambda stores: stores.joinings.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListJoiningsResponse(
            joinings=[wire.joining(each) for each in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for each in response.joinings:
            masks.keep(each, request.read_mask)
        return response

    async def decide_joining(
        self, request: pb.DecideJoiningRequest, call: Call
    ) -> pb.DecideJoiningResponse:
        """Approve or refuse; what is granted counts from the next call on."""
        command = DecideJoining(
            request.joining_key,
            actor_of(call),
            request.approved,
            request.reason,
            request.official_code,
            request.etag,
        )
        response = await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.decide_joining(
                command, self._authority, event_paths, stores, now
            ),
            lambda done: pb.DecideJoiningResponse(joining=wire.joining(done)),
        )
        await self._agreements.refresh()
        return response

    async def renew_certificate(
        self, request: pb.RenewCertificateRequest, call: Call
    ) -> pb.RenewCertificateResponse:
        """The next certificate for a member that has a current one."""
        subsystem = actor_of(call).subsystem
        city, _, _ = call.caller.path.partition("/")
        if not subsystem or RegionCode.parse(city) != self._city:
            raise Denied(
                missing="only members of this city's exchange are given certificates here",
                missing_zh="仅向本市交换平台的成员单位换发证书",
            )
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.renew_certificate(
                request.certificate_signing_request_pem,
                subsystem,
                call.caller.serial_number,
                self._city,
                self._authority,
                stores,
                now,
            ),
            lambda done: pb.RenewCertificateResponse(
                certificate_pem=done[0].pem,
                authorities_pem=self._known.authorities(),
                certificate=wire.certificate(done[1]),
            ),
        )

    async def revoke_certificate(
        self, request: pb.RevokeCertificateRequest, call: Call
    ) -> pb.RevokeCertificateResponse:
        """Revoke; counts at once here, and at other replicas within half a second."""
        command = Revoke(
            request.serial_number.upper().lstrip("0"),
            request.with_renewed,
            request.reason,
            request.subsystem,
            actor_of(call),
            str(call.caller),
        )
        response = await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.revoke(command, self._city, stores, now),
            lambda found: pb.RevokeCertificateResponse(
                certificates=[wire.certificate(each) for each in found]
            ),
        )
        await self._revocations.refresh()
        return response

    async def list_certificates(
        self, request: pb.ListCertificatesRequest, call: Call
    ) -> pb.ListCertificatesResponse:
        """The certificates that the caller may see."""
        own = actor_of(call).subsystem
        where: Document = {}
        if subsystem := own or request.subsystem:
            where["subsystem"] = subsystem
        if request.revoked_only:
            where["revoked_at"] = {"$ne": None}
        page = await self._work.read(
            lambda stores: stores.certificates.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListCertificatesResponse(
            certificates=[wire.certificate(each) for each in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for each in response.certificates:
            masks.keep(each, request.read_mask)
        return response


class JoiningService:
    """Answers those who have a token and no certificate yet."""

    def __init__(
        self,
        work: UnitOfWork[Stores],
        authority: MemberAuthority,
        rules: DeadlineRules,
        known: Known,
    ) -> None:
        self._work, self._authority, self._rules, self._known = work, authority, rules, known

    async def request_to_join(
        self, request: joining_pb.RequestToJoinRequest, call: Call
    ) -> joining_pb.RequestToJoinResponse:
        """Take the request in; a token asks once."""
        digest = digest_of(call.metadata.get(AUTHORIZATION, ""))
        joining = await self._work.read(
            lambda stores: handlers.joining_of(digest, stores, self._work.clock())
        )
        command = AskToJoin(
            digest,
            request.certificate_signing_request_pem,
            catalogue_wire.request_access(request.access, joining.subsystem),
        )
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.ask_to_join(
                command, self._authority, self._rules, stores, now
            ),
            lambda made: joining_pb.RequestToJoinResponse(joining=wire.joining(made)),
        )

    async def get_join_request(
        self, request: joining_pb.GetJoinRequestRequest, call: Call
    ) -> joining_pb.GetJoinRequestResponse:
        """How far it has come, with the certificate once it is there."""
        digest = digest_of(call.metadata.get(AUTHORIZATION, ""))
        found = await self._work.read(
            lambda stores: handlers.joining_of(digest, stores, self._work.clock())
        )
        response = joining_pb.GetJoinRequestResponse(joining=wire.joining(found))
        if found.state is JoiningState.ADMITTED:
            response.authorities_pem = self._known.authorities()
            response.exchange_address = self._known.address
        masks.keep(response.joining, request.read_mask)
        return response


def digest_of(authorization: str) -> str:
    """The digest of the token in `Bearer <token>`; empty, which is no token's, if there is none."""
    scheme, _, token = authorization.partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else ""
    return hashlib.sha256(token.encode()).hexdigest() if token else ""
