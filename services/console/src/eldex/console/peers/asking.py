"""How the exchange is asked: once, or page by page until all is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message

from eldex.common.errors import Language, Unavailable
from eldex.common.rpc.client import Peer
from eldex.console.handlers.exchange_ports import ExchangeSilent
from eldex.console.peers import problem_of, refused

A_PAGE: Final = 25
AT_ONCE: Final = 500
_API: Final = "/eldex.api.exchange.v1."
_MOST: Final = 10_000
"""Of what is read whole (agreements, subscriptions, certificates); beyond it a listing is cut."""

M = TypeVar("M", bound=Message)


class Asking:
    """What every port to the exchange is made of."""

    def __init__(self, peer: Peer | None) -> None:
        """None: the console was not told where it is."""
        self._peer = peer

    async def _ask(
        self, method: str, request: Message, response: type[M], language: Language = "en"
    ) -> M:
        if self._peer is None:
            raise ExchangeSilent(code="NOT_CONFIGURED")
        try:
            return await self._peer.ask(
                _API + method, request, response, {"accept-language": language}
            )
        except Unavailable as error:
            raise ExchangeSilent(code=problem_of(error)) from error
        except grpc.aio.AioRpcError as error:
            raise refused(error) from error

    async def _pages(self, method: str, request: Any, response: type[Any]) -> AsyncIterator[Any]:
        """Page by page, up to so many pages as a listing read whole may have."""
        for _ in range(_MOST // AT_ONCE):
            answer: Any = await self._ask(method, request, response)
            yield answer
            request.page_token = answer.next_page_token
            if not request.page_token:
                return
