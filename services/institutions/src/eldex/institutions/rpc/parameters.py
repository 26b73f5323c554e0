"""Policy numbers and prices."""

from __future__ import annotations

from eldex.api.institutions.v1 import filing_calls_pb2 as pb
from eldex.common import masks
from eldex.common.clock import day_of
from eldex.common.dates import optional_day
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.institutions.handlers import parameters as handlers
from eldex.institutions.rpc.base import Part
from eldex.institutions.wire import parameters as wire


class ParametersPart(Part):
    """What the policies say."""

    async def check_price(self, request: pb.CheckPriceRequest, call: Call) -> pb.CheckPriceResponse:
        """Hold a price against the rule for inclusive institutions."""
        question = wire.check_price(request, day_of(call.at))
        verdict = await self._read(
            lambda stores: handlers.price_verdict(question, stores, self._tables)
        )
        return wire.verdict(verdict, question.price_fen, call.language)

    async def get_parameters(
        self, request: pb.GetParametersRequest, call: Call
    ) -> pb.GetParametersResponse:
        """Read what holds in a division on a day."""
        place = RegionCode.parse(request.region_code) if request.region_code else None
        day = optional_day(request.on, "on") or day_of(call.at)
        found = await self._read(lambda stores: handlers.in_force(place, day, stores, self._tables))
        response = pb.GetParametersResponse(
            parameters=[wire.parameter_message(each) for each in found.values()]
        )
        masks.keep(response, request.read_mask)
        return response

    async def set_parameters(
        self, request: pb.SetParametersRequest, call: Call
    ) -> pb.SetParametersResponse:
        """Set parameters."""
        # Read anew each time the act is decided: what it stages must not outlive a lost race.
        return await write(
            self._work,
            request,
            call,
            lambda stores, _: handlers.set_parameters(
                [wire.parameter(each) for each in request.parameters], stores, self._tables
            ),
            lambda kept: pb.SetParametersResponse(
                parameters=[wire.parameter_message(each) for each in kept]
            ),
        )
