"""What `make bench` measures, and the honest way it does so.

Contestants run in turns, round by round, on the same mongod and the same Kafka, warmed up with the
entering of all residents (at least 10,000 events), callers on the same two cores. A figure is the
median of its rounds; beside it stands the CPU that all processes together spent per event, which a
busy machine disturbs less than the clock. A pipeline's round ends when the last effect is durable
in the projection, never when the last reply came.

Figures (`bench/out/results.jsonl`, a line each: name, value, floor, ratio, target, reached):

- `pipeline_batched_over_floor` — events/s, commands on the trunk's stream, everything on, over
  `bench/floor.py`. `…_all_documents` — the same over a floor that also writes history and marks.
- `pipeline_unary_over_tutorial` — events/s, a gRPC call per command, over `bench/tutorial.py`.
- `latency_p50_over_floor`, `latency_p99_over_floor` — ms from the planned moment of a call to its
  durable effect, 50 commands/s whatever the answers do.
- `observability_on_over_off` — CPU of the registry's process per call.
- `evidence_over_rsa2048` — CPU of a record of the message log over that of one RSA-2048 signature;
  `verify_leaves_per_second` — what `eldex-verify` checks, over 50,000 (`bench/evidence.py`).
- `hop_…`, `overload_goodput` — what it costs that a call goes through the exchange (`bench/hop.py`).
- `delivery_…`, `hung_partner_p99_ratio` — how soon partners have an event (`bench/deliveries.py`).

What is not in a figure: one machine, a replica set and a broker of one node, loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from bench.child import ROOT, Job
from bench.deliveries import RATE, deliver, environment
from bench.evidence import TARGET_LEAVES, measure_evidence
from bench.hop import bus_place, hop_in
from bench.place import Contestant, Place, cpu_seconds, place

OUT = ROOT / "bench" / "out" / "results.jsonl"
RESIDENTS = 12_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the results; `value` and `floor` in the unit that the name's docstring tells."""

    name: str
    value: float
    floor: float
    ratio: float
    target: str
    reached: bool | None
    """None: told for orientation, nothing is promised."""


@dataclass(slots=True)
class Round:
    """One turn of one contestant."""

    events_per_s: float
    cpu: dict[str, float]
    """Microseconds per event, by process."""
    load: float

    @property
    def cpu_total(self) -> float:
        """Microseconds per event, all processes but the callers'."""
        return sum(used for name, used in self.cpu.items() if name != "callers")


class Bench:
    """Runs rounds and keeps what they gave."""

    def __init__(self, where: Place, *, rounds: int) -> None:
        self.place, self.rounds = where, rounds
        self.figures: list[Figure] = []
        self.notes: list[str] = []

    async def fill(self) -> None:
        """Enter the residents through the house, which warms up everything on the way."""
        house = self.place.contestants["house"]
        assert house.projector is not None
        told = await self._call(house, do="register", road="trunk", window=1_024, count=RESIDENTS)
        await house.projector.ask(do="await", count=RESIDENTS)
        await self.know("house", sorted(told["keys"]))

    async def know(self, name: str, keys: Sequence[str]) -> None:
        """Tell the callers whom they may move at a contestant."""
        await self.place.callers.ask(do="know", residents=name, keys=list(keys))

    async def add_peer(self, name: str, module: str, *options: str, warm: int) -> None:
        """Add a contestant and warm it up."""
        await self.place.add_peer(name, module, *options)
        await self.know(name, await self.keys())
        road = "unary" if module == "bench.tutorial" else "trunk"
        await self.pipeline(name, road=road, count=warm, window=64 if road == "unary" else 512)

    async def keys(self) -> list[str]:
        """The residents, in the order of their keys."""
        found = self.place.mongo[f"{self.place.prefix}_registry"]["residents"]
        return [d["_id"] async for d in found.find({}, {"_id": 1}).sort("_id", 1)]

    async def _call(self, who: Contestant, **job: object) -> Job:
        job = {"do": "move", "residents": who.name} | job
        return await self.place.callers.ask(target=who.target, tls=who.tls, **job)

    async def pipeline(self, name: str, *, road: str, count: int, window: int) -> Round:
        """One round: so many commands, until the last effect is durable in the projection."""
        who = self.place.contestants[name]
        assert who.projector is not None
        await who.projector.ask(do="reset")
        before = cpu_seconds(who.pids)
        told = await self._call(
            who, road=road, count=count, window=window, channels=4 if road == "unary" else 1
        )
        end = await who.projector.ask(do="await", count=count)
        after = cpu_seconds(who.pids)
        seconds = (end["at"] - told["began"]) / 1e9
        cpu = {part: (after[part] - before[part]) / count * 1e6 for part in after}
        return Round(count / seconds, cpu, os.getloadavg()[0])

    async def pipelines(
        self, title: str, contestants: dict[str, int], *, road: str, window: int
    ) -> dict[str, float]:
        """Rounds in turns; the median events/s of each contestant."""
        kept: dict[str, list[Round]] = {name: [] for name in contestants}
        for _ in range(self.rounds):
            for name, count in contestants.items():
                kept[name].append(await self.pipeline(name, road=road, count=count, window=window))
        print(f"\n{title}: {self.rounds} rounds in turns, {window} commands under way")
        print(f"  {'':14}{'events/s':>9} {'least-most':>13}  µs CPU per event (callers apart)")
        for name, rounds in kept.items():
            rates = [r.events_per_s for r in rounds]
            parts = {p: statistics.median(r.cpu[p] for r in rounds) for p in rounds[0].cpu}
            total = statistics.median(r.cpu_total for r in rounds)
            shares = " + ".join(f"{part} {used:.0f}" for part, used in parts.items())
            load = statistics.median(r.load for r in rounds)
            print(
                f"  {name:14}{statistics.median(rates):9,.0f} {min(rates):6,.0f}-{max(rates):6,.0f}"
                f"  {total:.0f} = {shares}; load {load:.1f}, {contestants[name]} commands a round"
            )
        return {n: statistics.median(r.events_per_s for r in rounds) for n, rounds in kept.items()}

    async def latency(self, *, rate: int, seconds: int) -> None:
        """Open loop in turns; the pooled distribution of each contestant."""
        names = ("house", "floor")
        waits: dict[str, list[float]] = {name: [] for name in names}
        answers: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(self.rounds):
            for name in names if turn % 2 else names[::-1]:
                kept, answered = await self._latency_round(name, rate, rate * seconds)
                waits[name] += kept
                answers[name] += answered
        print(f"\nlatency at {rate} commands/s, {len(waits['house'])} commands each")
        for name in names:
            print(
                f"  {name:14}p50 {_at(waits[name], 50):6.1f} ms  p99 {_at(waits[name], 99):6.1f} ms"
                f"  (of which the reply {_at(answers[name], 50):.1f} and {_at(answers[name], 99):.1f})"
            )
        for percent, target in ((50, 1.3), (99, 1.5)):
            house, floor = (_at(waits[name], percent) for name in names)
            self.tell(f"latency_p{percent}_over_floor", house, floor, f"<= {target}", target)

    async def _latency_round(
        self, name: str, rate: int, count: int
    ) -> tuple[list[float], list[float]]:
        who = self.place.contestants[name]
        assert who.projector is not None
        await who.projector.ask(do="reset", keep=True)
        told = await self._call(who, road="open", rate=rate, count=count)
        end = await who.projector.ask(do="await", count=count)
        planned: dict[str, int] = told["times"]
        # The first second wakes up what had gone to sleep.
        steady = sorted(planned, key=planned.__getitem__)[rate:]
        return (
            [(end["times"][command] - planned[command]) / 1e6 for command in steady],
            [(told["replies"][command] - planned[command]) / 1e6 for command in steady],
        )

    async def observability(self, *, count: int, window: int) -> None:
        """CPU of the registry's process per call, with and without."""
        await self.place.add_unobserved()
        await self.know("unobserved", await self.keys())
        for road in ("trunk", "unary"):
            used: dict[str, list[float]] = {"house": [], "unobserved": []}
            for turn in range(self.rounds + 1):
                for name, kept in used.items():
                    who = self.place.contestants[name]
                    pids = {"server": who.pids["server"]}
                    before = cpu_seconds(pids)["server"]
                    await self._call(
                        who,
                        road=road,
                        count=count,
                        window=2 * window if road == "trunk" else window,
                        channels=4,
                    )
                    if turn:  # the first is for warming up
                        kept.append((cpu_seconds(pids)["server"] - before) / count * 1e6)
            on, off = (statistics.median(kept) for kept in used.values())
            print(
                f"\nobservability, {road}: {on:.0f} µs of the registry's CPU per call, {off:.0f} off"
            )
            if road == "unary":
                self.tell("observability_on_over_off", on, off, "<= 1.10", 1.10)
            else:
                self.tell("observability_on_over_off_trunk", on, off, "", None)

    def tell(self, name: str, value: float, floor: float, target: str, limit: float | None) -> None:
        """Keep a figure."""
        self.figures.append(figure(name, value, floor, target, limit))


def figure(name: str, value: float, floor: float, target: str, limit: float | None) -> Figure:
    """A line of the results, with whether it reached what was promised."""
    ratio = value / floor
    reached = None
    if limit is not None:
        reached = ratio >= limit if target.startswith(">") else ratio <= limit
    return Figure(name, round(value, 2), round(floor, 2), round(ratio, 3), target, reached)


def _at(samples: Sequence[float], percent: float) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def measure(root: Path, only: str, rounds: int) -> list[Figure]:
    """All of it, or one part; the figures."""

    def wanted(part: str) -> bool:
        return only in {"", part}

    if only == "evidence":  # needs no broker, no database, no callers
        return await evidence(root, rounds)
    if only in {"hop", "deliveries"}:
        return await bus(root, rounds, only)
    async with place(root) as where:
        bench = Bench(where, rounds=rounds)
        await bench.fill()
        if wanted("batched") or wanted("latency"):
            await bench.add_peer("floor", "bench.floor", "plain", warm=4_000)
        if wanted("batched"):
            await bench.add_peer("floor_all", "bench.floor", "all", warm=2_000)
            sizes = {"house": 6_000, "floor": 6_000, "floor_all": 6_000}
            rates = await bench.pipelines("batched", sizes, road="trunk", window=1_024)
            house, floor = rates["house"], rates["floor"]
            bench.tell("pipeline_batched_over_floor", house, floor, ">= 0.70", 0.70)
            more = rates["floor_all"]
            bench.tell("pipeline_batched_over_floor_all_documents", house, more, "", None)
        if wanted("unary"):
            await bench.add_peer("tutorial", "bench.tutorial", warm=200)
            sizes = {"house": 3_000, "tutorial": 400}
            rates = await bench.pipelines("unary", sizes, road="unary", window=128)
            house, tutorial = rates["house"], rates["tutorial"]
            bench.tell("pipeline_unary_over_tutorial", house, tutorial, ">= 8", 8.0)
        if wanted("latency"):
            await bench.latency(rate=50, seconds=8)
        if wanted("observability"):
            await bench.observability(count=3_000, window=64)
        spans = (await where.sink.ask(do="count"))["spans"]
        print(f"\n{spans:,} spans were received; residents: {RESIDENTS:,}")
        figures = bench.figures
    if not only:
        figures += await evidence(root, rounds)
        figures += await bus(root, rounds, only)
    return figures


async def evidence(root: Path, rounds: int) -> list[Figure]:
    """What the proof costs, and how fast it is verified."""
    ours, rsa, leaves = await measure_evidence(root / "evidence", rounds)
    print(
        f"\nevidence: {ours:.1f} µs CPU per record, {rsa:.0f} per RSA-2048 signature; "
        f"{leaves:,.0f} records/s verified"
    )
    return [
        figure("evidence_over_rsa2048", ours, rsa, "<= 0.05", 0.05),
        figure("verify_leaves_per_second", leaves, TARGET_LEAVES, ">= 1", 1.0),
    ]


async def bus(folder: Path, rounds: int, only: str) -> list[Figure]:
    """The exchange: the way through it beside the direct one, and how soon partners have an event."""
    figures = []
    async with (
        bus_place(folder / "bus", **environment(folder)) as stack,
        AsyncExitStack() as exits,
    ):
        if only in {"", "hop"}:
            hop = await hop_in(stack, exits, rounds)
            rates, alone = await hop.throughput(), await hop.alone()
            direct, added = rates["direct"], alone["hop"] - alone["direct"]
            figures += [
                figure("hop_unary_over_direct", rates["hop"], direct, ">= 0.90", 0.90),
                figure("hop_over_xroad_model", rates["hop"], rates["xroad"], ">= 8", 8.0),
                figure("hop_plain_proxy_over_direct", rates["plain"], direct, "", None),
                figure("hop_added_p50_over_bare", added, alone["bare"], "<= 1.5", 1.5),
                figure("overload_goodput", *await hop.overload(), ">= 0.9", 0.9),
            ]
        if only in {"", "deliveries"}:
            deliveries = await deliver(stack, exits, rounds)
            p99, held = await deliveries.streams()
            hung, well = await deliveries.hung_partner()
            figures += [
                figure("delivery_p99_seconds", p99, 1.0, "< 2", 2.0),
                figure("delivery_events_per_second", held, RATE, ">= 1", 1.0),
                figure("hung_partner_p99_ratio", hung, well, "<= 1.1", 1.1),
            ]
    return figures


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parts = ("batched", "unary", "latency", "observability", "evidence", "hop", "deliveries")
    parser.add_argument("--only", choices=parts, default="", help="one part of it")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each contestant")
    args = parser.parse_args()
    began = time.monotonic()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="eldex-bench-") as folder:
        figures = uvloop.run(measure(Path(folder), args.only, args.rounds))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text("".join(json.dumps(asdict(f)) + "\n" for f in figures))
    print(f"\n{'':44}{'value':>10}{'floor':>10}{'ratio':>8}  target")
    for f in figures:
        verdict = {True: "reached", False: "NOT reached", None: ""}[f.reached]
        print(f"{f.name:44}{f.value:10,.1f}{f.floor:10,.1f}{f.ratio:8.2f}  {f.target:8} {verdict}")
    load = os.getloadavg()[0]
    print(
        f"\n{time.monotonic() - began:.0f} s, load {load:.1f}; written to {OUT.relative_to(ROOT)}"
    )


if __name__ == "__main__":
    main()
