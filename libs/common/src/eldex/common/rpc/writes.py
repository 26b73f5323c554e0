"""A write asked for by rpc: done once per `request_id`, answered alike every time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from eldex.common.rpc.call import Call
from eldex.common.store import Mark, UnitOfWork


class WriteRequest(Protocol):
    """A request of a write: it carries a `request_id`."""

    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802 - protobuf's name
        """The message as bytes."""
        ...


R = TypeVar("R", bound=Message)
S = TypeVar("S")
T = TypeVar("T")


async def write(
    work: UnitOfWork[S],
    request: WriteRequest,
    call: Call,
    act: Callable[[S, datetime], Awaitable[T]],
    render: Callable[[T], R],
) -> R:
    """Run a command through the unit of work and answer it.

    The same `request_id` of the same caller with the same content gets the same reply without
    being done again; with other content it is refused (`REQUEST_ID_REUSED`).
    """
    mark = Mark(
        f"{call.behalf}{call.method}/{request.request_id}",
        request.SerializeToString(deterministic=True),
    )
    rendered: list[R] = []

    def render_bytes(result: T) -> bytes:
        rendered[:] = [render(result)]
        return rendered[0].SerializeToString()

    done = await work.write(mark, act, render_bytes)
    if not done.replayed:
        return rendered[0]
    kind: Any = _response_kind(call.method)
    response: R = kind.FromString(done.reply)
    return response


def _response_kind(method: str) -> type[Message]:
    service, _, name = method[1:].partition("/")
    found = descriptor_pool.Default().FindServiceByName(service)
    return message_factory.GetMessageClass(found.methods_by_name[name].output_type)
