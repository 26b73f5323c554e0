"""The pages about members: who there is, who joins, and with which certificates they come."""

from __future__ import annotations

import uuid
from typing import Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from eldex.common.clock import day_of
from eldex.common.errors import NotFound
from eldex.console.domain.membership import JOININGS, Certificate, Validity, current
from eldex.console.domain.people import Act, Role
from eldex.console.domain.sharing import Page, members
from eldex.console.handlers import exchange as verbs
from eldex.console.handlers.exchange_ports import Decision
from eldex.console.web import language
from eldex.console.web.app import Web, address_of, asked, following, place_in, see, text_of
from eldex.console.web.session import check_form, need_operator

_ACTS: Final = {"admit": Act.ADMIT_MEMBER, "refuse": Act.REFUSE_MEMBER}
_KINDS: Final = ("current", "revoked", "all")


def routes(web: Web) -> list[APIRouter]:
    """All of them."""
    return [_members(web), _joinings(web), _certificates(web)]


def _members(web: Web) -> APIRouter:
    router = APIRouter()
    exchange = web.ports.exchange

    @router.get("/members")
    async def all_members(request: Request) -> Response:
        web.sessions.need(request)
        found = members(
            await exchange.all_agreements(),
            await exchange.subscribers(),
            await exchange.providers(),
            day_of(web.ports.clock()),
        )
        return web.pages.render(request, "members.html", members=found)

    return router


def _joinings(web: Web) -> APIRouter:
    router = APIRouter()
    ports = web.ports

    @router.get("/members/joinings")
    async def joinings(request: Request) -> Response:
        session = web.sessions.need(request)
        state = asked(request, "state")
        state = state if state in JOININGS else JOININGS[0]
        page = await ports.members.joinings(state, place_in(request))
        shown = asked(request, "action")
        return web.pages.render(
            request,
            "joinings.html",
            joinings=page.items,
            following=following(request, page),
            state=state,
            states=JOININGS,
            operator=session.account.role is Role.OPERATOR,
            action=await ports.actions.find(shown) if shown else None,
        )

    @router.get("/members/joinings/{key}/{deed}")
    async def confirm(request: Request, key: str, deed: Literal["admit", "refuse"]) -> Response:
        need_operator(web.sessions.need(request))
        joining = await ports.members.joining(key[:64])
        if joining is None:
            raise NotFound("Joining", key[:64])
        return web.pages.confirm(
            request,
            "_decide_joining.html",
            act=_ACTS[deed].value,
            deed=deed,
            joining=joining,
            request_id=str(uuid.uuid4()),
        )

    @router.post("/members/joinings/{key}/{deed}")
    async def do(request: Request, key: str, deed: Literal["admit", "refuse"]) -> Response:
        session = web.sessions.need(request)
        form = await request.form()
        check_form(session, form.get("form_token"))
        decision = Decision(
            _ACTS[deed],
            key[:64],
            text_of(form, "request_id", 36),
            text_of(form, "reason"),
            etag=text_of(form, "etag", 32),
        )
        ended = await verbs.decide(
            decision, session.account, address_of(request), language.choose(request), ports
        )
        return see(f"/members/joinings?action={ended.key}")

    return router


def _certificates(web: Web) -> APIRouter:
    router = APIRouter()
    ports = web.ports

    @router.get("/members/certificates")
    async def certificates(request: Request) -> Response:
        session = web.sessions.need(request)
        subsystem = asked(request, "subsystem", 150)
        kind = asked(request, "kind")
        kind = kind if kind in _KINDS else _KINDS[0]
        now = ports.clock()
        if kind == "current":
            page = Page(tuple(current(await ports.members.all_certificates(subsystem), now)))
        else:
            page = await ports.members.certificates(
                subsystem, place_in(request), revoked=kind == "revoked"
            )
        shown = asked(request, "action")
        return web.pages.render(
            request,
            "certificates.html",
            certificates=page.items,
            following=following(request, page),
            kind=kind,
            kinds=_KINDS,
            subsystem=subsystem,
            operator=session.account.role is Role.OPERATOR,
            action=await ports.actions.find(shown) if shown else None,
        )

    @router.get("/members/certificates/{serial}/revoke")
    async def confirm(request: Request, serial: str) -> Response:
        need_operator(web.sessions.need(request))
        found = await _certificate(serial[:40], asked(request, "subsystem", 150))
        return web.pages.confirm(
            request, "_revoke.html", certificate=found, request_id=str(uuid.uuid4())
        )

    @router.post("/members/certificates/{serial}/revoke")
    async def do(request: Request, serial: str) -> Response:
        session = web.sessions.need(request)
        form = await request.form()
        check_form(session, form.get("form_token"))
        decision = Decision(
            Act.REVOKE_CERTIFICATE,
            serial[:40],
            text_of(form, "request_id", 36),
            text_of(form, "reason"),
            with_renewed=bool(text_of(form, "with_renewed")),
        )
        ended = await verbs.decide(
            decision, session.account, address_of(request), language.choose(request), ports
        )
        place = {"kind": "revoked", "subsystem": text_of(form, "subsystem"), "action": ended.key}
        return see(f"/members/certificates?{urlencode(place)}")

    async def _certificate(serial: str, subsystem: str) -> Certificate:
        for each in await ports.members.all_certificates(subsystem):
            if (
                each.serial_number == serial
                and each.validity(ports.clock()) is not Validity.REVOKED
            ):
                return each
        raise NotFound("MemberCertificate", serial)

    return router
