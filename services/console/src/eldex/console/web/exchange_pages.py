"""The pages about the exchange: the catalogue, the message log, subscribers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from eldex.common.clock import day_of
from eldex.common.errors import DomainError, NotFound
from eldex.console.domain.deliveries import NoStart
from eldex.console.domain.people import Act, Role
from eldex.console.domain.sharing import SharingClass
from eldex.console.handlers import exchange as verbs
from eldex.console.handlers.exchange_ports import DeliveryChange
from eldex.console.web import language
from eldex.console.web.app import Web, address_of, asked, following, place_in, see, text_of
from eldex.console.web.search_form import CODES, KINDS, WINDOWS, LogForm, TimeForm
from eldex.console.web.session import check_form, need_operator

_CHANGES: Final = (Act.PAUSE, Act.RESUME, Act.REPLAY_SUBSCRIPTION, Act.REDELIVER)
_MOST_INDEX = 2**53


def routes(web: Web) -> list[APIRouter]:
    """All of them."""
    return [_catalogue(web), _log(web), _subscribers(web)]


def _catalogue(web: Web) -> APIRouter:
    router = APIRouter()
    exchange = web.ports.exchange

    @router.get("/catalogue")
    async def catalogue(request: Request) -> Response:
        web.sessions.need(request)
        wanted = asked(request, "class")
        sharing_class = SharingClass(wanted) if wanted in list(SharingClass) else None
        provider = asked(request, "provider", 64)
        page = await exchange.resources(provider, sharing_class, place_in(request))
        return web.pages.render(
            request,
            "catalogue.html",
            resources=page.items,
            following=following(request, page),
            classes=list(SharingClass),
            chosen=sharing_class,
            provider=provider,
        )

    @router.get("/catalogue/requests")
    async def requests(request: Request) -> Response:
        web.sessions.need(request)
        state = asked(request, "state") or "pending"
        page = await exchange.access_requests(place_in(request), state=state)
        return web.pages.render(
            request,
            "requests.html",
            requests=page.items,
            following=following(request, page),
            state=state,
            today=day_of(web.ports.clock()),
        )

    @router.get("/catalogue/{code:path}")
    async def resource(request: Request, code: str) -> Response:
        web.sessions.need(request)
        found = await exchange.resource(code[:20])
        wanted = await exchange.access_requests("", resource=found.code)
        return web.pages.render(
            request,
            "resource.html",
            resource=found,
            requests=wanted.items,
            today=day_of(web.ports.clock()),
        )

    return router


def _log(web: Web) -> APIRouter:
    router = APIRouter()

    @router.get("/log")
    async def log(request: Request) -> Response:
        session = web.sessions.need(request)
        form = LogForm.of(request.query_params)
        search = form.search(web.ports.clock())
        page = None
        if search is not None:
            page = await verbs.search_log(
                search, place_in(request), session.account, address_of(request), web.ports
            )
        return web.pages.render(
            request,
            "log.html",
            form=form,
            records=page.items if page else (),
            following=following(request, page),
            windows=[*WINDOWS, "all"],
            codes=CODES,
            kinds=KINDS,
        )

    @router.get("/log/{index}")
    async def record(request: Request, index: str) -> Response:
        session = web.sessions.need(request)
        number = _index(index)
        address = address_of(request)
        proven = await verbs.prove_record(number, session.account, address, web.ports)
        explanation, problem = None, ""
        if request.query_params.get("explain"):
            try:
                explanation = await verbs.explain(number, session.account, address, web.ports)
            except DomainError as error:
                problem = error.message(language.choose(request))
        return web.pages.render(
            request,
            "record.html",
            proof=proven.proof,
            record=proven.proof.record,
            trust=proven.trust,
            explanation=explanation,
            problem=problem,
        )

    @router.get("/log/{index}/bundle")
    async def bundle(request: Request, index: str) -> Response:
        """The record with its proof as a file that `eldex-verify --bundle` reads."""
        session = web.sessions.need(request)
        number = _index(index)
        await verbs.look_into_log(session.account, address_of(request), f"#{number}", web.ports)
        found = await web.ports.exchange.bundle(number)
        name = f'attachment; filename="record-{number}.tlog-proof"'
        headers = {"content-disposition": name}
        return Response(found.data, media_type="text/plain; charset=utf-8", headers=headers)

    return router


def _index(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text[:20]) > _MOST_INDEX:
        raise NotFound("record", text[:20])
    return int(text)


def _subscribers(web: Web) -> APIRouter:
    router = APIRouter()
    exchange = web.ports.exchange

    @router.get("/subscribers")
    async def subscribers(request: Request) -> Response:
        web.sessions.need(request)
        page = await exchange.subscriptions(place_in(request))
        part = request.headers.get("hx-target") == "subscribers"
        return web.pages.render(
            request,
            "_subscribers.html" if part else "subscribers.html",
            subscriptions=page.items,
            following=following(request, page),
        )

    @router.get("/subscribers/{subsystem:path}/{name}")
    async def subscriber(request: Request, subsystem: str, name: str) -> Response:
        session = web.sessions.need(request)
        everything = bool(request.query_params.get("all"))
        found = await exchange.subscription(subsystem[:150], name[:64])
        letters = await exchange.undelivered(
            found.subsystem, found.name, place_in(request), everything=everything
        )
        shown = request.query_params.get("action", "")
        return web.pages.render(
            request,
            "subscriber.html",
            each=found,
            letters=letters.items,
            following=following(request, letters),
            everything=everything,
            operator=session.account.role is Role.OPERATOR,
            action=await web.ports.actions.find(shown) if shown else None,
        )

    @router.get("/deliveries/change")
    async def confirm(request: Request) -> Response:
        session = web.sessions.need(request)
        need_operator(session)
        change = _change(request.query_params, str(uuid.uuid4()))
        return web.pages.confirm(
            request,
            "_change.html",
            change=change,
            query=dict(request.query_params),
            back=_place(change),
        )

    @router.post("/deliveries/change")
    async def do(request: Request) -> Response:
        session = web.sessions.need(request)
        form = await request.form()
        check_form(session, form.get("form_token"))
        fields = {name: text_of(form, name) for name in form}
        change = _change(fields, text_of(form, "request_id", 36))
        ended = await verbs.change_delivery(
            change, session.account, address_of(request), language.choose(request), web.ports
        )
        return see(f"{_place(change)}?action={ended.key}")

    return router


def _place(change: DeliveryChange) -> str:
    return f"/subscribers/{change.subsystem}/{change.name}"


def _change(fields: Mapping[str, object], request_id: str) -> DeliveryChange:
    """What a form asks for; raises `NoStart` if a replay has no point to begin at."""
    act = next((each for each in _CHANGES if each.value == text_of(fields, "act")), None)
    if act is None:
        raise NotFound("act", text_of(fields, "act", 40))
    cursor, since = text_of(fields, "after_cursor", 18), text_of(fields, "from_time", 40)
    after_cursor, from_time = None, None
    if act is Act.REPLAY_SUBSCRIPTION:
        form = TimeForm(since=since)
        from_time = form.instant("since")
        if form.problems or bool(from_time) == bool(cursor):
            raise NoStart
        if cursor:
            if not cursor.isascii() or not cursor.isdecimal():
                raise NoStart
            after_cursor = int(cursor)
    return DeliveryChange(
        act,
        text_of(fields, "subsystem", 150),
        text_of(fields, "name", 64),
        request_id,
        after_cursor,
        from_time,
        text_of(fields, "letter", 300),
    )
