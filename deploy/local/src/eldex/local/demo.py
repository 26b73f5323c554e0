"""`make demo`: a fictional city lives, and every hop of it can be looked at.

Starts the city (or takes the one that is up), brings its elders in, plays four stories through the
exchange as the departments would, a fifth with a partner city beside it, and says what followed, after how long, under which receipt, in
which trace. Exits 0 only if every effect was seen. The city stays up, so that its traces can be
opened; `make down` stops it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import date
from functools import partial
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress

from eldex.console import accounts
from eldex.evidence.receipts import Receipt
from eldex.local import cli, stories, supervisor
from eldex.local.city import generate
from eldex.local.field import Field, Refused, Seen, Told, field_of
from eldex.local.loading import Loaded, load_elders, set_insurance_parameters
from eldex.local.neighbours import HOME, NEIGHBOUR
from eldex.local.process import State
from eldex.local.stack import Stack
from eldex.local.supervisor import PartReport
from eldex.local.two_cities import side_of, two_cities

_out = Console(highlight=False, soft_wrap=True)
_AS_OF = date(2026, 11, 1)
_BACK_WITHIN_SECONDS = 60.0

Story = Callable[[Field, stories.Narrator], Awaitable[tuple[Any, str]]]
_STORIES: tuple[Story, ...] = (
    stories.death_stops_payments,
    stories.move_changes_the_amount,
    stories.assessment_finds_the_allowance,
    stories.blacklisting_halts_and_repair_restores,
)


class Aloud:
    """Tells the stories on the terminal."""

    def __init__(self) -> None:
        self._number = 0
        self.traces: list[str] = []
        """Those of the present story in which something followed."""

    def begin(self, title: str, title_zh: str) -> None:
        """A heading."""
        self._number += 1
        self.traces = []
        _out.print(f"\n[bold]{self._number}. {title}[/bold]  {title_zh}")

    def act(self, who: str, what: str, told: Told) -> None:
        """Who did what; the receipt is the call's place in the message log."""
        receipt = Receipt.parse(told.receipt)
        _out.print(
            f"   [cyan]{who}[/cyan]: {what}  "
            f"[dim]{told.milliseconds:.0f} ms · receipt {receipt.index}:{receipt.leaf_hash.hex()[:12]}…[/dim]"
        )

    def effect(self, where: str, what: str, seen: Seen, since: float) -> None:
        """What followed, and after how long."""
        name = seen.delivered.event_type.rsplit(".", 1)[-1]
        if seen.trace_id not in self.traces:
            self.traces.append(seen.trace_id)
        _out.print(
            f"     [green]✓[/green] after {(seen.at - since) * 1000:5.0f} ms  "
            f"[green]{where}[/green]: {what}  [dim]{name}[/dim]"
        )

    def remark(self, text: str) -> None:
        """Something else worth saying."""
        _out.print(f"     [dim]{text}[/dim]", markup=True)


async def play(stack: Stack, neighbour: Stack, scale: float, seed: int) -> bool:
    """Load the city and play the stories; False if an effect was not seen."""
    console = f"http://{stack.address('console-web')}"
    async with field_of(stack) as field:
        try:
            await _load(field, scale, seed)
        except Refused as refused:
            _out.print(
                f"[red]✗ The city could not be loaded: {refused}[/red]\n"
                "  It may hold another city's people already: `make clean` forgets them, then try again."
            )
            return False
        told = Aloud()
        for story in _STORIES:
            try:
                await story(field, told)
            except (TimeoutError, AssertionError, Refused) as missing:
                _out.print(f"     [red]✗ {missing}[/red]")
                return False
            for trace_id in told.traces:
                _out.print(f"   trace {console}/traces/{trace_id}")
        for watcher in (field.watcher, field.partner):
            await watcher.acknowledge()
    try:
        async with side_of(stack, neighbour) as home, side_of(neighbour, stack) as away:
            cut = Cut(neighbour)
            trace_id = await two_cities(home, away, told, cut.begin, cut.end)
    except (TimeoutError, AssertionError, Refused) as missing:
        _out.print(f"     [red]✗ {missing}[/red]")
        return False
    _out.print(f"   trace {console}/traces/{trace_id}")
    return True


class Cut:
    """The exchange of a partner city is killed, and its supervisor brings it back."""

    def __init__(self, stack: Stack) -> None:
        self._root = stack.settings.root
        self._pid = 0

    async def begin(self) -> None:
        """Kill it."""
        part = self._exchange()
        if part.pid is None:
            raise AssertionError("the partner city's exchange is not up")
        self._pid = part.pid
        os.kill(part.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Wait until it is ready again."""
        async with asyncio.timeout(_BACK_WITHIN_SECONDS):
            while True:
                part = self._exchange()
                if part.state is State.READY and part.pid != self._pid:
                    return
                await asyncio.sleep(0.1)

    def _exchange(self) -> PartReport:
        report = supervisor.read(self._root)
        assert report is not None
        return report.parts["exchange"]


async def _load(field: Field, scale: float, seed: int) -> None:
    city = generate(seed, scale, _AS_OF)
    await set_insurance_parameters(field)
    began = time.perf_counter()
    with Progress(console=_out, transient=True) as progress:
        task = progress.add_task("bringing the elders in", total=None)

        def step(loaded: Loaded) -> None:
            progress.update(
                task,
                completed=loaded.residents,
                description=(f"bringing the elders in: {loaded.residents}"),
            )

        loaded = await load_elders(field, city, _AS_OF, step)
    seconds = time.perf_counter() - began
    _out.print(
        f"The city has {loaded.residents} elders (fictional, seed {seed}, scale {scale:g}), "
        f"{loaded.enrolments} enrolments, {loaded.eligibilities} classes: {seconds:.1f} s"
    )


_app = typer.Typer(pretty_exceptions_enable=False)


@_app.command()
def main(
    scale: Annotated[float, typer.Option(help="Size of the city, up to 1.")] = 0.001,
    seed: Annotated[int, typer.Option(help="Seed number of the city.")] = 2,
    down: Annotated[bool, typer.Option(help="Stop the city afterwards.")] = False,
) -> None:
    """Play the demo."""
    began = time.perf_counter()
    for city in (HOME, NEIGHBOUR):
        cli.guarded(partial(cli.up, city))
    stack, neighbour = cli.the_city(HOME), cli.the_city(NEIGHBOUR)
    try:
        seen = uvloop.run(play(stack, neighbour, scale, seed))
    finally:
        if down:
            cli.down(HOME)
    seconds = time.perf_counter() - began
    if not seen:
        _out.print(
            f"\n[red]The demo did not come to its end.[/red] The cities are still up: `make status` shows "
            f"its parts, `make demo` tries again, `make down` stops it. Logs: {stack.logs}"
        )
        raise typer.Exit(1)
    _out.print(f"\nEvery effect was seen. {seconds:.0f} s.")
    if not down:
        _out.print(
            f"The cities stay up: http://{stack.address('console-web')}/ · `make down` stops them."
        )
        for name, password in accounts.ensure(stack.secrets).items():
            _out.print(f"  sign in as {name}: {password}", markup=False)


if __name__ == "__main__":
    _app()
