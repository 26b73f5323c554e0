"""The application: its routes, and what holds for every one of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import FormData
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from eldex.common.errors import DomainError, Kind, NotFound
from eldex.console.domain.sharing import Page
from eldex.console.handlers import Ports, SignIns
from eldex.console.web.language import choose
from eldex.console.web.render import STATIC, Pages
from eldex.console.web.session import Keyring, NotSignedIn, Sessions, check_origin

_LARGEST_FORM_BYTES: Final = 16 * 1024
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_STATUS: Final = {
    Kind.INVALID: 400,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.STALE: 409,
    Kind.DENIED: 403,
    Kind.EXHAUSTED: 429,
    Kind.UNAVAILABLE: 503,
}


@dataclass(frozen=True, slots=True)
class Web:
    """What every page is made with."""

    ports: Ports
    keyring: Keyring
    sign_ins: SignIns
    sessions: Sessions
    pages: Pages


def new_web(ports: Ports, keyring: Keyring, *, secure: bool) -> Web:
    """The parts of the pages; `secure`: cookies travel over TLS only."""
    sessions = Sessions(keyring, ports.sessions, ports.clock, secure=secure)
    return Web(ports, keyring, SignIns(ports), sessions, Pages(sessions, ports.clock))


def new_app(web: Web) -> FastAPI:
    """The application without pages of its own."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    async def recognised(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if request.url.path.startswith("/static/"):
            return await call_next(request)
        try:
            await web.sessions.recognise(request)
        except DomainError as error:
            return await refused(request, error)
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=recognised)
    app.add_middleware(BaseHTTPMiddleware, dispatch=_guard)
    app.mount("/static", StaticFiles(directory=STATIC))

    async def not_signed_in(request: Request, _: Exception) -> Response:
        there = f"/sign-in?next={quote(_here(request))}"
        if "hx-request" in request.headers:
            return Response(status_code=401, headers={"hx-redirect": there})
        return RedirectResponse(there, 303)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, DomainError)
        status, text = _STATUS[error.kind], error.message(choose(request))
        return web.pages.render(request, "problem.html", status, reason=error.reason, text=text)

    async def no_such_page(request: Request, _: Exception) -> Response:
        return await refused(request, NotFound("page", request.url.path[:100]))

    app.add_exception_handler(NotSignedIn, not_signed_in)
    app.add_exception_handler(DomainError, refused)
    app.add_exception_handler(404, no_such_page)
    app.add_exception_handler(RequestValidationError, no_such_page)  # nothing but paths is typed
    return app


def _here(request: Request) -> str:
    """The page to come back to: never a form's target, never a fragment's."""
    if request.method != "GET" or "hx-request" in request.headers:
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Small bodies from our own pages only; the headers of every answer."""
    response = await _refusal(request) or await call_next(request)
    for name, value in _HEADERS.items():
        response.headers[name] = value
    static = request.url.path.startswith("/static/")
    response.headers["cache-control"] = "public, max-age=31536000" if static else "no-store"
    return response


async def _refusal(request: Request) -> Response | None:
    if request.method in {"GET", "HEAD"}:
        return None
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        return PlainTextResponse("say the length of the form", 411)
    if int(length) > _LARGEST_FORM_BYTES:
        return PlainTextResponse("the form is too large", 413)
    try:
        check_origin(request)
    except DomainError as error:
        return PlainTextResponse(error.message(choose(request)), 403)
    return None


def safe_next(target: str) -> str:
    """A path of our own to go on to; anything else becomes the first page."""
    ours = target.startswith("/") and not target.startswith(("//", "/\\")) and "\n" not in target
    return target if ours and target.isprintable() else "/"


def address_of(request: Request) -> str:
    """Where a request comes from, as far as the connection tells."""
    return request.client.host if request.client else ""


def text_of(form: FormData | Mapping[str, object], name: str, longest: int = 300) -> str:
    """A field of a form or a query, without blanks around it; empty if there is none."""
    value = form.get(name, "")
    return value.strip()[:longest] if isinstance(value, str) else ""


def see(path: str) -> Response:
    """Go on to another page, after a form."""
    return RedirectResponse(path, 303)


def asked(request: Request, name: str, longest: int = 200) -> str:
    """A field of the query, without blanks around it; empty if there is none."""
    return text_of(request.query_params, name, longest)


def place_in(request: Request, name: str = "page") -> str:
    """Where a listing goes on, as an earlier page of it has told."""
    return asked(request, name, 500)


def following(request: Request, page: Page[Any] | None, name: str = "page") -> str:
    """The address of the next page of a listing; empty: that was all."""
    if page is None or not page.following:
        return ""
    query = dict(request.query_params) | {name: page.following}
    return f"{request.url.path}?{urlencode(query)}"
