"""The pages and their addresses."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Literal
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from eldex.common.errors import DomainError, NotFound
from eldex.console import handlers
from eldex.console.domain.matters import TRACE_ID
from eldex.console.domain.people import Role
from eldex.console.handlers import Replay
from eldex.console.web import agreement_pages, drawing, exchange_pages, language, member_pages
from eldex.console.web.app import Web, address_of, new_app, safe_next, see, text_of
from eldex.console.web.search_form import LIMITS, WINDOWS, SearchForm, refuse_identity_numbers
from eldex.console.web.session import check_form, need_operator

_ACTIONS_PER_PAGE = 50
_LANGUAGE_LIFE_SECONDS = 365 * 24 * 3600


def application(web: Web) -> FastAPI:
    """The whole console."""
    app = new_app(web)
    for routes in (_entrance, _traces, _matters, _flows):
        app.include_router(routes(web))
    for pages in (agreement_pages, member_pages, exchange_pages):
        for router in pages.routes(web):
            app.include_router(router)
    return app


def _entrance(web: Web) -> APIRouter:
    router = APIRouter()

    @router.get("/sign-in")
    async def sign_in_page(request: Request) -> Response:
        target = safe_next(request.query_params.get("next", "/"))
        if web.sessions.find(request):
            return see(target)
        return web.pages.render(
            request, "sign_in.html", target=target, problem="", user="", any=web.keyring.any()
        )

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        form = await request.form()
        user, target = text_of(form, "user", 100), safe_next(text_of(form, "next"))
        # Not stripped: blanks may be part of it.
        password = form.get("password", "")
        try:
            account = await web.sign_ins.sign_in(
                user, password[:300] if isinstance(password, str) else "", address_of(request)
            )
        except DomainError as error:
            problem = error.message(language.choose(request))
            return web.pages.render(
                request,
                "sign_in.html",
                403 if error.reason == "SIGN_IN_FAILED" else 429,
                target=target,
                problem=problem,
                user=user,
                any=web.keyring.any(),
            )
        response = see(target)
        await web.sessions.open(response, account)
        return response

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        session = web.sessions.need(request)
        check_form(session, (await request.form()).get("form_token"))
        await handlers.sign_out(session.account, address_of(request), web.ports)
        response = see("/sign-in")
        await web.sessions.close(response, session)
        return response

    @router.get("/language/{code}")
    async def choose_language(request: Request, code: str) -> Response:
        response = see(safe_next(request.query_params.get("next", "/")))
        if code in {"zh", "en"}:
            response.set_cookie(
                language.COOKIE, code, max_age=_LANGUAGE_LIFE_SECONDS, samesite="strict"
            )
        return response

    return router


def _traces(web: Web) -> APIRouter:
    router = APIRouter()

    @router.get("/traces")
    async def search(request: Request) -> Response:
        web.sessions.need(request)
        form = SearchForm.of(request.query_params)
        search = form.search(web.ports.clock())
        found = await web.ports.spans.search(search) if search else []
        operations = await web.ports.spans.operations()
        part = request.headers.get("hx-target") == "results"
        return web.pages.render(
            request,
            "_results.html" if part else "traces.html",
            form=form,
            found=found,
            longest_us=max((trace.duration_us for trace in found), default=1) or 1,
            operations=operations,
            windows=list(WINDOWS),
            limits=LIMITS,
        )

    @router.get("/traces/operations")
    async def operations_of(request: Request) -> Response:
        web.sessions.need(request)
        service = request.query_params.get("service", "")
        names = (await web.ports.spans.operations()).get(service, [])
        return web.pages.render(request, "_operations.html", names=names, chosen="")

    @router.get("/traces/{trace_id}")
    async def trace(request: Request, trace_id: str) -> Response:
        web.sessions.need(request)
        known = TRACE_ID.fullmatch(trace_id.lower())
        found = await web.ports.spans.trace(trace_id.lower()) if known else None
        if found is None:
            refuse_identity_numbers(trace_id)
            raise NotFound("trace", trace_id[:64])
        return web.pages.render(
            request, "trace.html", trace=found, waterfall=drawing.waterfall(found)
        )

    @router.get("/map")
    async def service_map(request: Request) -> Response:
        web.sessions.need(request)
        window = request.query_params.get("window", "1h")
        window = window if window in WINDOWS else "1h"
        now = web.ports.clock()
        found = await web.ports.spans.edges(now - WINDOWS[window], now + timedelta(minutes=1))
        return web.pages.render(
            request,
            "map.html",
            edges=found.edges,
            found=found,
            picture=drawing.service_map(found.edges),
            node_size=(drawing.NODE_WIDTH, drawing.NODE_HEIGHT),
            window=window,
            windows=list(WINDOWS),
        )

    return router


def _matters(web: Web) -> APIRouter:
    router = APIRouter()

    @router.post("/matters")
    async def look_for(request: Request) -> Response:
        """A form's way in: by POST, so that nothing that should not be in an address gets there."""
        session = web.sessions.need(request)
        form = await request.form()
        check_form(session, form.get("form_token"))
        query = text_of(form, "q", 200)
        refuse_identity_numbers(query)
        return see(f"/matters?{urlencode({'q': query})}")

    @router.get("/matters")
    async def matter(request: Request) -> Response:
        web.sessions.need(request)
        query = request.query_params.get("q", "").strip()[:200]
        refuse_identity_numbers(query)
        found = await handlers.follow_matter(query, web.ports) if query else None
        return web.pages.render(request, "matter.html", query=query, matter=found)

    return router


def letters_path(department: str, page: str, *, replayed: bool) -> str:
    """The address of a further page of a department's dead letters; empty if there is none."""
    query = {"department": department, "page": page} | ({"replayed": "1"} if replayed else {})
    return f"/dead-letters?{urlencode(query)}" if page else ""


def _flows(web: Web) -> APIRouter:
    router = APIRouter()

    @router.get("/")
    async def overview(request: Request) -> Response:
        web.sessions.need(request)
        recent = SearchForm(limit="20").search(web.ports.clock())
        assert recent is not None
        found = await web.ports.spans.search(recent)
        return web.pages.render(
            request,
            "overview.html",
            departments=await web.ports.departments.look(),
            found=found[:8],
            longest_us=max((trace.duration_us for trace in found), default=1) or 1,
            spans=await web.ports.spans.count(),
        )

    @router.get("/flows")
    async def flows(request: Request) -> Response:
        session = web.sessions.need(request)
        replayed = bool(request.query_params.get("replayed"))
        departments = await web.ports.departments.look(include_replayed=replayed)
        shown = request.query_params.get("action", "")
        part = {"health": "_health.html", "flows": "_flows.html"}.get(
            request.headers.get("hx-target", "")
        )
        return web.pages.render(
            request,
            part or "flows.html",
            departments=departments,
            letters=[letter for each in departments for letter in each.dead_letters],
            more={
                each.name: letters_path(each.name, each.more_letters, replayed=replayed)
                for each in departments
                if each.more_letters
            },
            replayed=replayed,
            operator=session.account.role is Role.OPERATOR,
            action=await web.ports.actions.find(shown) if shown else None,
        )

    @router.get("/dead-letters")
    async def letters(request: Request) -> Response:
        session = web.sessions.need(request)
        department = request.query_params.get("department", "")
        replayed = bool(request.query_params.get("replayed"))
        page = request.query_params.get("page", "")[:500]
        found = await web.ports.departments.letters(department, page, include_replayed=replayed)
        return web.pages.render(
            request,
            "letters.html",
            department=department,
            letters=found.letters,
            following=letters_path(department, found.following, replayed=replayed),
            replayed=replayed,
            operator=session.account.role is Role.OPERATOR,
        )

    @router.get("/dead-letters/{deed}")
    async def confirm(request: Request, deed: Literal["replay", "close"]) -> Response:
        session = web.sessions.need(request)
        need_operator(session)
        service = request.query_params.get("department", "")
        key = request.query_params.get("key", "")[:200]
        letter = await web.ports.departments.dead_letter(service, key)
        if letter is None:
            raise NotFound("DeadLetter", key)
        return web.pages.confirm(
            request, "_confirm.html", deed=deed, letter=letter, request_id=str(uuid.uuid4())
        )

    @router.post("/dead-letters/replay")
    async def replay(request: Request) -> Response:
        session = web.sessions.need(request)
        form = await request.form()
        check_form(session, form.get("form_token"))
        command = Replay(
            text_of(form, "department"), text_of(form, "key", 200), text_of(form, "request_id", 36)
        )
        ended = await handlers.replay(
            command, session.account, address_of(request), language.choose(request), web.ports
        )
        return see(f"/flows?action={ended.key}")

    @router.post("/dead-letters/close")
    async def close(request: Request) -> Response:
        session = web.sessions.need(request)
        form = await request.form()
        check_form(session, form.get("form_token"))
        command = Replay(
            text_of(form, "department"), text_of(form, "key", 200), text_of(form, "request_id", 36)
        )
        ended = await handlers.close_letter(
            command,
            text_of(form, "reason", 500),
            session.account,
            address_of(request),
            language.choose(request),
            web.ports,
        )
        return see(f"/flows?action={ended.key}")

    @router.get("/actions")
    async def actions(request: Request) -> Response:
        web.sessions.need(request)
        before = request.query_params.get("before", "")
        found = await web.ports.actions.newest(before, _ACTIONS_PER_PAGE + 1)
        shown = found[:_ACTIONS_PER_PAGE]
        return web.pages.render(
            request,
            "actions.html",
            actions=shown,
            older=shown[-1].key if len(found) > _ACTIONS_PER_PAGE else "",
        )

    return router
