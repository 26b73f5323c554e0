"""Who lives in the city that runs: its generated elders and institutions, brought in once.

Which city it holds is noted in its folder, beside its data, and goes with them (`make clean`).
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import Progress

from eldex.local.city import generate
from eldex.local.field import Refused, field_of
from eldex.local.loading import Loaded, load_city, set_insurance_parameters
from eldex.local.narrating import said
from eldex.local.paths import put
from eldex.local.process import PartFailed
from eldex.local.stack import BadSetting, Stack

_out = Console(highlight=False, soft_wrap=True)
_AS_OF: Final = date(2026, 11, 1)
_NOTE: Final = "city.json"
_SEED, _SCALE = 2, Fraction(1, 1000)
_SMALLEST: Final = Fraction(1, 1000)


@dataclass(frozen=True)
class Inhabitants:
    """Which generated city a running city holds."""

    seed: int
    scale: str
    """As a fraction, such as 1/1000."""
    is_whole: bool = False
    """Everything is in; else a load was broken off, and may be taken up again."""

    def __str__(self) -> str:
        return f"seed {self.seed}, scale {self.scale}"


def scale_of(text: str) -> Fraction:
    """The size of a city, from `0.01` or `1/100`; raises `ValueError` that says what to give."""
    try:
        scale = Fraction(text)
    except (ValueError, ZeroDivisionError):
        scale = Fraction(0)
    if not _SMALLEST <= scale <= 1:
        raise ValueError(
            f"{text!r}: give the share of the real city's size, from 1/1000 (1,204 elders) to 1 "
            "(1.2 million), such as 1/100 or 0.01"
        )
    return scale


def inhabitants(root: Path) -> Inhabitants | None:
    """Which generated city is in the folder's data; None: none that is known."""
    try:
        return Inhabitants(**json.loads((root / _NOTE).read_bytes()))
    except FileNotFoundError:
        return None


def choose(root: Path, seed: int | None = None, scale: Fraction | None = None) -> Inhabitants:
    """Which generated city a city is to hold: what is there, else seed and scale, else the usual one.

    Raises `BadSetting` when another one is there already.
    """
    known = inhabitants(root)
    usual = known or Inhabitants(_SEED, str(_SCALE))
    wanted = replace(
        usual,
        seed=usual.seed if seed is None else seed,
        scale=usual.scale if scale is None else str(scale),
    )
    if wanted != usual and known is not None:
        raise BadSetting(
            f"the city holds the people of {known}, and those of {wanted} cannot live beside them: "
            "`make clean` forgets it, then try again"
        )
    return wanted


def populate(stack: Stack, wanted: Inhabitants) -> None:
    """Bring the people and institutions of a generated city into a city that is up; once.

    Raises `PartFailed` when a department refuses.
    """
    root = stack.settings.root
    if wanted.is_whole:
        return
    _note(root, wanted)
    try:
        asyncio.run(_load(stack, wanted))
    except Refused as refused:
        raise PartFailed(
            f"the city could not be loaded: {refused}\n"
            "It may hold another city's people already: `make clean` forgets them, then try again."
        ) from refused
    _note(root, replace(wanted, is_whole=True))


def _note(root: Path, held: Inhabitants) -> None:
    put(root / _NOTE, json.dumps(asdict(held)).encode())


async def _load(stack: Stack, wanted: Inhabitants) -> None:
    city = generate(wanted.seed, Fraction(wanted.scale), _AS_OF)
    began = time.perf_counter()
    with Progress(console=_out, transient=True) as shown:
        task = shown.add_task(said("正在载入城市", "bringing the city in"), total=None)

        def step(loaded: Loaded) -> None:
            shown.update(
                task,
                completed=loaded.institutions + loaded.residents + loaded.described,
                total=len(city.institutions) + 2 * loaded.elders,
                description=said(
                    f"机构 {loaded.institutions}，老年人 {loaded.residents}",
                    f"{loaded.institutions} institutions, {loaded.residents} elders",
                ),
            )

        async with field_of(stack, watching=False) as field:
            await set_insurance_parameters(field)
            loaded = await load_city(field, city, _AS_OF, step)
    seconds = time.perf_counter() - began
    _out.print(
        said(
            f"全市（虚构，种子 {wanted.seed}，规模 {wanted.scale}）：机构 {loaded.institutions} 家，"
            f"床位（托位）{loaded.beds} 张，老年人 {loaded.residents} 人，入住 {loaded.admissions} 人，"
            f"参保 {loaded.enrolments} 份，对象类别 {loaded.eligibilities} 项；{seconds:.0f} 秒",
            f"The city (fictional, {wanted}) has {loaded.institutions} institutions with {loaded.beds} "
            f"beds and places, {loaded.residents} elders, {loaded.admissions} of them in a bed, "
            f"{loaded.enrolments} enrolments, {loaded.eligibilities} classes: {seconds:.0f} s",
        )
    )
