"""Who is signed in: a signed cookie that says so, and the proof that a form is ours."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Final, Protocol

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from eldex.common.errors import Denied
from eldex.console.domain.people import Account

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


class Sessions:
    """Opens, recognises and closes sessions; nothing is kept on the server."""

    def __init__(self, keyring: Keyring, *, secure: bool) -> None:
        self._keyring, self._secure = keyring, secure

    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._keyring.session_key, salt="eldex-console-session")

    def open(self, response: Response, account: Account) -> None:
        """Set the cookie."""
        content = [account.user, account.stamp, secrets.token_urlsafe(16)]
        response.set_cookie(
            COOKIE,
            self._serializer().dumps(content),
            max_age=LIFE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )

    def close(self, response: Response) -> None:
        """Take the cookie back."""
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self._secure)

    def find(self, request: Request) -> Session | None:
        """The session; None if there is none, it is over, forged, or the password has changed."""
        try:
            user, stamp, token = self._serializer().loads(
                request.cookies.get(COOKIE, ""), max_age=LIFE_SECONDS
            )
        except (BadData, ValueError, TypeError):
            return None
        account = self._keyring.find(user)
        return Session(account, token) if account and account.stamp == stamp else None

    def need(self, request: Request) -> Session:
        """The session; raises `NotSignedIn`."""
        session = self.find(request)
        if session is None:
            raise NotSignedIn
        return session


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
