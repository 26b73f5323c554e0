"""`make demo`: a fictional city lives, and every hop of it can be looked at.

Starts the city (or takes the one that is up) and a partner city beside it, brings its people and
institutions in, plays four stories through the exchange as the departments would and a fifth with the
partner city, and says what followed, after how long, under which receipt, in which trace. Exits 0 only
if every effect was seen. The cities stay up, so that traces can be opened; `make down` stops them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from fractions import Fraction
from functools import partial
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.markup import escape

from eldex.console import accounts
from eldex.evidence.errors import EvidenceError
from eldex.evidence.receipts import Receipt
from eldex.local import cli, stories, supervisor
from eldex.local.field import Field, Refused, Seen, Told, field_of
from eldex.local.narrating import Narrator, Words, languages, said
from eldex.local.neighbours import HOME, NEIGHBOUR
from eldex.local.populate import choose, populate
from eldex.local.process import State
from eldex.local.stack import Stack
from eldex.local.supervisor import PartReport
from eldex.local.two_cities import side_of, two_cities

_out = Console(highlight=False, soft_wrap=True)
_BACK_WITHIN_SECONDS = 60.0

Story = Callable[[Field, Narrator], Awaitable[tuple[Any, str]]]
_STORIES: tuple[Story, ...] = (
    stories.death_stops_payments,
    stories.move_changes_the_amount,
    stories.assessment_finds_the_allowance,
    stories.blacklisting_halts_and_repair_restores,
)


class Aloud:
    """Tells the stories on the terminal, in the languages of `narrating.languages`."""

    def __init__(self) -> None:
        self._number = 0
        self._languages = languages()
        self.traces: list[str] = []
        """Those of the present story in which something followed."""

    def begin(self, title: Words) -> None:
        """A heading."""
        self._number += 1
        self.traces = []
        _out.print(f"\n[bold]{self._number}. {said(*title)}[/bold]")

    def act(self, who: Words, what: Words, told: Told) -> None:
        """Who did what; the receipt is the call's place in the message log."""
        receipt = Receipt.parse(told.receipt)
        place = f"{receipt.index}:{receipt.leaf_hash.hex()[:12]}…"
        note = f"{told.milliseconds:.0f} ms · {said('回执', 'receipt')} {place}"
        self._step("   ", "cyan", who, what, note)

    def effect(self, where: Words, what: Words, seen: Seen, since: float) -> None:
        """What followed, and after how long."""
        name = seen.delivered.event_type.rsplit(".", 1)[-1]
        if seen.trace_id not in self.traces:
            self.traces.append(seen.trace_id)
        self._step(f"     ✓ {(seen.at - since) * 1000:5.0f} ms  ", "green", where, what, name)

    def remark(self, text: Words) -> None:
        """Something else worth saying."""
        for line in dict.fromkeys(text.within(language) for language in self._languages):
            _out.print(f"     [dim]{escape(line)}[/dim]")

    def _step(self, mark: str, colour: str, who: Words, what: Words, note: str) -> None:
        """Who and what in each language under one mark, the note once."""
        for number, language in enumerate(self._languages):
            lead = f"[{colour}]{mark}[/{colour}]" if not number else " " * len(mark)
            stop = "：" if language == "zh" else ": "
            behind = "" if number else f"  [dim]{note}[/dim]"
            name = f"[{colour}]{who.within(language)}[/{colour}]"
            _out.print(f"{lead}{name}{stop}{escape(what.within(language))}{behind}")


async def play(stack: Stack, neighbour: Stack) -> bool:
    """Play the stories; False if an effect was not seen."""
    console = f"http://{stack.address('console-web')}"
    told = Aloud()

    def traces(*ids: str) -> None:
        for trace_id in ids:
            _out.print(f"   {said('链路', 'trace')} {console}/traces/{trace_id}")

    try:
        async with field_of(stack) as field:
            for story in _STORIES:
                await story(field, told)
                traces(*told.traces)
            for watcher in (field.watcher, field.partner):
                await watcher.acknowledge()
        async with side_of(stack, neighbour) as home, side_of(neighbour, stack) as away:
            cut = Cut(neighbour)
            traces(await two_cities(home, away, told, cut.begin, cut.end))
    except (TimeoutError, AssertionError, Refused, EvidenceError) as missing:
        _out.print(f"     [red]✗ {escape(str(missing))}[/red]")
        return False
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


_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@_app.command()
def main(
    scale: cli.Scale = None,
    seed: cli.Seed = None,
    down: Annotated[bool, typer.Option("--down", help="Stop the cities afterwards.")] = False,
) -> None:
    """Play the demo.

    It speaks 中文 and English; ELDEX_LANG=zh or ELDEX_LANG=en chooses one.
    """
    began = time.perf_counter()
    stack, neighbour = cli.guarded(partial(_ready, seed, scale))
    try:
        seen = uvloop.run(play(stack, neighbour))
    finally:
        if down:
            cli.down(HOME)
    seconds = time.perf_counter() - began
    if not seen:
        _out.print()
        _tell(
            "[red]演示未能完成。[/red]两市仍在运行：make status 查看各部分，make demo 重试，make down 停止。"
            f"日志：{stack.logs}",
            "[red]The demo did not come to its end.[/red] The cities are still up: `make status` shows "
            f"the parts, `make demo` tries again, `make down` stops them. Logs: {stack.logs}",
        )
        raise typer.Exit(1)
    _out.print()
    _tell(f"全部效果均已见到，共 {seconds:.0f} 秒。", f"Every effect was seen. {seconds:.0f} s.")
    if not down:
        url = f"http://{stack.address('console-web')}/"
        _tell(
            f"两市保持运行：{url} · make down 停止。",
            f"The cities stay up: {url} · `make down` stops them.",
        )
        for name, password in accounts.ensure(stack.secrets).items():
            _out.print(f"  {said('登录', 'sign in as')} {name}: {password}", markup=False)


def _ready(seed: int | None, scale: Fraction | None) -> tuple[Stack, Stack]:
    """Both cities, up, the one with its people."""
    wanted = choose(cli.the_city(HOME).settings.root, seed, scale)
    cli.start(HOME, NEIGHBOUR)
    stack = cli.the_city(HOME)
    populate(stack, wanted)
    return stack, cli.the_city(NEIGHBOUR)


def _tell(zh: str, en: str) -> None:
    for language in languages():
        _out.print(Words(zh, en).within(language))


if __name__ == "__main__":
    _app()
