"""Who is signed in: a signed cookie that says so of a session that is open, and the proof that a form is ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from eldex.common.clock import Clock
from eldex.common.errors import Denied
from eldex.console.domain.people import Account, OperatorsOnly, Role
from eldex.console.handlers import OpenSessions

COOKIE: Final = "eldex_console"
LIFE_SECONDS: Final = 8 * 3600


class NotSignedIn(Exception):
    """The page needs an account; the reader is sent to the sign-in page."""


class ForgedForm(Denied):
    """A form that did not come from our own page."""

    def __init__(self) -> None:
        super().__init__(
            missing="this form is not from a page of your session: reload and try again",
            missing_zh="该表单不属于您的当前会话，请刷新页面后重试",
        )


class Keyring(Protocol):
    """Where accounts and the key of the cookies come from."""

    @property
    def session_key(self) -> str:
        """Signs the cookies."""

    def find(self, user: str) -> Account | None:
        """An account by its name."""

    def any(self) -> bool:
        """Whether there is any account."""


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in reader."""

    account: Account
    form_token: str

    @property
    def key(self) -> str:
        """Under which it is kept: who reads the database can make no cookie of it."""
        return hashlib.sha256(self.form_token.encode()).hexdigest()


class Sessions:
    """Opens, recognises and closes sessions. Both must say so: the signed cookie, and what is kept here."""

    def __init__(self, keyring: Keyring, kept: OpenSessions, clock: Clock, *, secure: bool) -> None:
        self._keyring, self._kept, self._clock, self._secure = keyring, kept, clock, secure

    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._keyring.session_key, salt="eldex-console-session")

    async def open(self, response: Response, account: Account) -> None:
        """Begin one and set its cookie."""
        session = Session(account, secrets.token_urlsafe(16))
        expires_at = self._clock() + timedelta(seconds=LIFE_SECONDS)
        await self._kept.begin(session.key, account.user, expires_at)
        content = [account.user, account.stamp, session.form_token]
        response.set_cookie(
            COOKIE,
            self._serializer().dumps(content),
            max_age=LIFE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )

    async def close(self, response: Response, session: Session) -> None:
        """End it, whoever has a copy of its cookie, and take the cookie back."""
        await self._kept.end(session.key)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self._secure)

    async def recognise(self, request: Request) -> None:
        """Look once per request who asks; `find` and `need` tell it from then on."""
        session = self._read(request)
        is_open = session is not None and await self._kept.holds(session.key)
        request.state.session = session if is_open else None

    def find(self, request: Request) -> Session | None:
        """The session; None if there is none, it is over, ended, forged, or the password has changed."""
        found: Session | None = getattr(request.state, "session", None)
        return found

    def need(self, request: Request) -> Session:
        """The session; raises `NotSignedIn`."""
        session = self.find(request)
        if session is None:
            raise NotSignedIn
        return session

    def _read(self, request: Request) -> Session | None:
        try:
            user, stamp, token = self._serializer().loads(
                request.cookies.get(COOKIE, ""), max_age=LIFE_SECONDS
            )
        except (BadData, ValueError, TypeError):
            return None
        account = self._keyring.find(user)
        return Session(account, token) if account and account.stamp == stamp else None


def need_operator(session: Session) -> None:
    """Raise `OperatorsOnly` for anybody else: who may not do it is not asked to confirm it."""
    if session.account.role is not Role.OPERATOR:
        raise OperatorsOnly


def check_form(session: Session, token: object) -> None:
    """Raise `ForgedForm` unless the form carries the session's token."""
    if not isinstance(token, str) or not hmac.compare_digest(token, session.form_token):
        raise ForgedForm


def check_origin(request: Request) -> None:
    """Raise `ForgedForm` if a browser says that another site sent this."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise ForgedForm
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForgedForm
