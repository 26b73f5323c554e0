"""The pages about agreements: what is agreed, in every version, and what waits for a second operator."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final, Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from eldex.common.clock import day_of
from eldex.common.errors import NotFound
from eldex.console.domain.people import Act, Role
from eldex.console.domain.sharing import Agreement, Page, changes
from eldex.console.handlers import exchange as verbs
from eldex.console.handlers.exchange_ports import Decision
from eldex.console.web import language
from eldex.console.web.app import Web, address_of, asked, following, place_in, see, text_of
from eldex.console.web.session import check_form, need_operator

_ACTS: Final = {"approve": Act.APPROVE_CHANGE, "refuse": Act.REFUSE_CHANGE}


def routes(web: Web) -> list[APIRouter]:
    """All of them."""
    return [_agreements(web), _decisions(web)]


def _agreements(web: Web) -> APIRouter:
    router = APIRouter()
    exchange = web.ports.exchange

    @router.get("/agreements")
    async def agreements(request: Request) -> Response:
        session = web.sessions.need(request)
        subsystem = asked(request, "subsystem")
        page = await exchange.agreements(subsystem, place_in(request))
        waiting = (
            Page() if subsystem else await exchange.agreement_changes(place_in(request, "waiting"))
        )
        present = await exchange.all_agreements() if waiting.items else []
        return web.pages.render(
            request,
            "agreements.html",
            agreements=page.items,
            following=following(request, page),
            waiting=waiting.items,
            more_waiting=following(request, waiting, "waiting"),
            present={each.key: each for each in present},
            changes=changes,
            operator=session.account.role is Role.OPERATOR,
            subsystem=subsystem,
            today=day_of(web.ports.clock()),
        )

    @router.get("/agreements/{key}")
    async def agreement(request: Request, key: str) -> Response:
        session = web.sessions.need(request)
        versions = await exchange.versions(key[:64])
        change = await exchange.agreement_change(key[:64])
        if not versions and change is None:
            raise NotFound("Agreement", key[:64])
        newest = versions[0].agreement if versions else None
        by_number = {each.agreement.version: each.agreement for each in versions}
        newer = _version(request, "to", by_number) or newest
        older = _version(request, "from", by_number) or by_number.get(
            newer.version - 1 if newer else 0
        )
        approved = await exchange.access_requests("", agreement=key[:64])
        shown = asked(request, "action")
        return web.pages.render(
            request,
            "agreement.html" if newest else "agreement_wanted.html",
            agreement=newest,
            change=change,
            versions=versions,
            older=older,
            newer=newer,
            changes=changes,
            requests=approved.items,
            minute=timedelta(minutes=1),
            operator=session.account.role is Role.OPERATOR,
            action=await web.ports.actions.find(shown) if shown else None,
            today=day_of(web.ports.clock()),
        )

    return router


def _version(request: Request, name: str, known: dict[int, Agreement]) -> Agreement | None:
    number = asked(request, name, 9)
    return known.get(int(number)) if number.isdecimal() else None


def _decisions(web: Web) -> APIRouter:
    router = APIRouter()
    exchange = web.ports.exchange

    @router.get("/agreements/{key}/{deed}")
    async def confirm(request: Request, key: str, deed: Literal["approve", "refuse"]) -> Response:
        need_operator(web.sessions.need(request))
        change = await exchange.agreement_change(key[:64])
        if change is None or not change.waits:
            raise NotFound("AgreementChange", key[:64])
        versions = await exchange.versions(change.wanted.key)
        return web.pages.confirm(
            request,
            "_decide_change.html",
            act=_ACTS[deed].value,
            deed=deed,
            change=change,
            changes=changes(versions[0].agreement if versions else None, change.wanted),
            request_id=str(uuid.uuid4()),
        )

    @router.post("/agreements/{key}/{deed}")
    async def do(request: Request, key: str, deed: Literal["approve", "refuse"]) -> Response:
        session = web.sessions.need(request)
        form = await request.form()
        check_form(session, form.get("form_token"))
        decision = Decision(
            _ACTS[deed],
            key[:64],
            text_of(form, "request_id", 36),
            text_of(form, "reason"),
            etag=text_of(form, "etag", 64),
        )
        ended = await verbs.decide(
            decision, session.account, address_of(request), language.choose(request), web.ports
        )
        return see(f"/agreements/{decision.key}?action={ended.key}")

    return router
