"""Two cities, each with an authority, a broker, a registry and an exchange of its own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from eldex.local.narrating import Silent
from eldex.local.neighbours import NEIGHBOUR, NEIGHBOUR_SERVICES
from eldex.local.stack import Settings, Stack
from eldex.local.two_cities import side_of, two_cities


@pytest.mark.timeout(600)
async def test_two_cities_ask_and_tell_each_other_over_a_cut_and_can_prove_it(
    tmp_path: Path,
) -> None:
    a = Settings.for_tests(tmp_path / "a")
    b = Settings.for_tests(tmp_path / "b", city=NEIGHBOUR)
    home, away = (Stack(each, services=NEIGHBOUR_SERVICES) for each in (a.beside(b), b.beside(a)))
    async with AsyncExitStack() as closing:
        for stack in (home, away):
            closing.push_async_callback(stack.down)
        await asyncio.gather(home.up(), away.up())
        ours = await closing.enter_async_context(side_of(home, away))
        theirs = await closing.enter_async_context(side_of(away, home))
        exchange = away.parts["exchange"]
        # Killed, as a power cut would: whatever it had not made durable would be lost now.
        await two_cities(ours, theirs, Silent(), exchange.kill, exchange.start)
