"""Calls about deaths."""

from __future__ import annotations

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.clock import day_of
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.registry.handlers import deaths
from eldex.registry.rpc.base import Calls
from eldex.registry.wire import residents as wire


class DeathCalls(Calls):
    """Registering, correcting and revoking deaths."""

    async def register_death(
        self, request: pb.RegisterDeathRequest, call: Call
    ) -> pb.RegisterDeathResponse:
        """Register a death."""
        command, today = wire.register_death(request), day_of(call.at)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: deaths.register_death(command, stores, now),
            lambda found: pb.RegisterDeathResponse(resident=wire.resident(found, today)),
        )

    async def correct_death(
        self, request: pb.CorrectDeathRequest, call: Call
    ) -> pb.CorrectDeathResponse:
        """Correct the day of a death."""
        command, today = wire.correct_death(request), day_of(call.at)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: deaths.correct_death(command, stores, now),
            lambda found: pb.CorrectDeathResponse(resident=wire.resident(found, today)),
        )

    async def revoke_death(
        self, request: pb.RevokeDeathRequest, call: Call
    ) -> pb.RevokeDeathResponse:
        """Take back a death."""
        command, today = wire.revoke_death(request), day_of(call.at)
        return await write(
            self._work,
            request,
            call,
            lambda stores, now: deaths.revoke_death(command, stores, now),
            lambda found: pb.RevokeDeathResponse(resident=wire.resident(found, today)),
        )
