"""The hop: what it costs that a call goes through the exchange, beside the same call made directly.

The registry and the exchange run as `make up` runs them, with mutual TLS, spans of a tenth of the calls,
logs and metrics. `GetResident` is called by ghz: at the registry as the exchange calls it, at the
exchange as a member does whose agreement grants some fields (policy, mask, durable evidence, receipt), and
through two proxies of the plain kind (`bench/proxies.py`). Contestants run in turns.

- `hop_unary_over_direct` — calls/s through the exchange over calls/s made directly, 64 under way.
- `hop_over_xroad_model` — over calls/s through the cost MODEL of X-Road; it is not X-Road.
- `hop_plain_proxy_over_direct` — for orientation: a grpc.aio proxy that keeps no evidence.
- `hop_added_p50_over_bare` — ms that the exchange adds at one call at a time, over an empty gRPC call.
- `overload_goodput` — answered calls/s while three times the peak is asked for, over the peak.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from google.rpc import error_details_pb2, status_pb2

from bench.child import Child
from bench.ghz import Caller, Load, installed, protoset
from bench.place import cpu_seconds
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.rpc.client import channel
from eldex.common.rpc.status import DETAILS_KEY
from eldex.local.ports import HOST, reserve
from eldex.local.stack import Settings, Stack

RESIDENTS: Final = 2_000
_CALL: Final = "eldex.api.registry.v1.RegistryService.GetResident"
_MEMBER: Final = "member/health/assessment"
_METADATA: Final = {"eldex-purpose": "ability-assessment", "accept-language": "zh"}
_UNDER_WAY: Final = 64
_CONNECTIONS: Final = 4
_OVERLOAD: Final = 3
_OVERLOAD_SECONDS: Final = 8
_PATIENCE_SECONDS: Final = 5
_ROUND: Final = {"direct": 4_000, "hop": 3_000, "grpc": 3_000, "plain": 1_500, "xroad": 400}
"""Calls in a round of each contestant: some seconds."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Whom ghz calls, with whose certificate, and whose CPU counts."""

    target: str
    tls: Path
    metadata: dict[str, str]
    pids: dict[str, int]


class Hop:
    """The contestants, and the rounds they run."""

    def __init__(self, stack: Stack, caller: Caller, rounds: int) -> None:
        self.stack, self.caller, self.rounds = stack, caller, rounds
        registry = {name: self._pid(name) for name in ("mongod", "registry")}
        exchange = stack.identity("service/exchange")
        self.contestants = {
            "direct": Contestant(stack.address("registry"), exchange, {}, registry),
            "hop": self._by(stack.address("exchange")),
            # The server of grpc.aio behind Envoy, which forwards too: what the hop is without the edge.
            "grpc": self._by(f"unix:{stack.settings.root}/data/exchange/edge/server.sock"),
        }

    def _by(self, target: str) -> Contestant:
        registry = {name: self._pid(name) for name in ("mongod", "registry")}
        exchange = self._pid("exchange")
        (envoy,) = Path(f"/proc/{exchange}/task/{exchange}/children").read_text().split()
        pids = registry | {"exchange": exchange, "envoy": int(envoy)}
        return Contestant(target, self.stack.identity(_MEMBER), _METADATA, pids)

    def _pid(self, name: str) -> int:
        pid = self.stack.parts[name].pid
        assert pid is not None
        return pid

    async def add(self, exits: AsyncExitStack, kind: str, place: str) -> None:
        """Start a proxy, or the empty server."""
        listen, tls = f"{HOST}:{reserve()}", self.stack.identity("service/exchange")
        args = (kind, listen, str(tls), self.stack.address("registry"), place)
        child = await exits.enter_async_context(Child("bench.proxies", *args))
        pids = self.contestants["direct"].pids | {kind: child.pid}
        self.contestants[kind] = Contestant(listen, tls, {}, pids)

    async def run(self, name: str, *how: str) -> Load:
        """One run of ghz against a contestant."""
        who = self.contestants[name]
        return await self.caller.run(who.target, who.tls, how, who.metadata)

    async def served(self, name: str, *how: str) -> Load:
        """The same, of which every call must be answered."""
        load = await self.run(name, *how)
        if set(load.codes) != {"OK"}:
            raise CallsFailed(f"{name}: {load.codes}")
        return load

    async def throughput(self) -> dict[str, float]:
        """Calls/s of each, the median of rounds in turns; prints the table."""
        kept: dict[str, list[tuple[Load, dict[str, float], float]]] = {n: [] for n in _ROUND}
        for turn in range(self.rounds + 1):
            for name, count in _ROUND.items():
                who = self.contestants[name]
                before = cpu_seconds(who.pids)
                load = await self.served(
                    name,
                    *("-n", str(count // (1 if turn else 4))),
                    *("-c", str(_UNDER_WAY), "--connections", str(_CONNECTIONS)),
                )
                after = cpu_seconds(who.pids)
                if turn:  # the first is for warming up
                    used = {p: (after[p] - before[p]) / count * 1e6 for p in after}
                    kept[name].append((load, used, os.getloadavg()[0]))
        print(f"\nhop: {self.rounds} rounds in turns, {_UNDER_WAY} calls under way")
        print(
            f"  {'':8}{'calls/s':>9} {'least-most':>13} {'p50':>7} {'p99':>7} ms  µs CPU per call"
        )
        for name, runs in kept.items():
            rates = [load.per_second for load, _, _ in runs]
            parts = {p: statistics.median(cpu[p] for _, cpu, _ in runs) for p in runs[0][1]}
            shares = " + ".join(f"{part} {used:.0f}" for part, used in parts.items())
            print(
                f"  {name:8}{statistics.median(rates):9,.0f} {min(rates):6,.0f}-{max(rates):6,.0f}"
                f" {statistics.median(load.p50_ms for load, _, _ in runs):7.1f}"
                f" {statistics.median(load.p99_ms for load, _, _ in runs):7.1f}     {shares};"
                f" load {statistics.median(load for _, _, load in runs):.1f}"
            )
        return {n: statistics.median(r.per_second for r, _, _ in runs) for n, runs in kept.items()}

    async def alone(self) -> dict[str, float]:
        """The p50 of one call at a time, in ms: bare, direct, through the exchange."""
        names = ("bare", "direct", "hop", "grpc")
        kept: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(self.rounds + 1):
            for name in names:
                load = await self.served(name, "-n", "300", "-c", "1", "--connections", "1")
                if turn:
                    kept[name].append(load.p50_ms)
        found = {name: statistics.median(each) for name, each in kept.items()}
        told = ", ".join(f"{name} {value:.2f} ms" for name, value in found.items())
        print(f"\none call at a time, p50: {told}; load {os.getloadavg()[0]:.1f}")
        return found

    async def overload(self) -> tuple[float, float]:
        """Goodput at three times the peak, and the peak measured around it; calls/s."""
        peaks, goods = [], []
        for _ in range(max(1, self.rounds // 2)):
            peak = await self._closed()
            rate = int(_OVERLOAD * peak)
            advice = asyncio.create_task(self._advice())
            load = await self.run(
                "hop",
                *("--async", "--rps", str(rate), "-c", str(_CONNECTIONS)),
                *("--connections", str(_CONNECTIONS), "--timeout", f"{_PATIENCE_SECONDS}s"),
                *("-n", str(rate * _OVERLOAD_SECONDS)),
            )
            advised = await advice
            shed = load.codes.get("ResourceExhausted", 0)
            print(
                f"  overload: {sum(load.codes.values()) / load.seconds:,.0f} calls/s asked of {rate:,}"
                f" meant, {load.per_second:,.0f} answered (peak {peak:,.0f}), {shed:,} shed, "
                f"{load.codes}; retry advice seen: {advised:g} s; load {os.getloadavg()[0]:.1f}"
            )
            peaks.append(peak)
            goods.append(load.per_second)
        return statistics.median(goods), statistics.median(peaks)

    async def _closed(self) -> float:
        how = ("-n", "4000", "-c", str(_UNDER_WAY), "--connections", str(_CONNECTIONS))
        return (await self.served("hop", *how)).per_second

    async def _advice(self) -> float:
        """The delay that a shed call is advised, in seconds; 0 if none was shed, or none was advised."""
        who = self.contestants["hop"]
        async with asyncio.timeout(_OVERLOAD_SECONDS + 30), channel(who.target, who.tls) as opened:
            rpc: Any = opened.unary_unary("/" + "/".join(_CALL.rsplit(".", 1)))
            request = pb.GetResidentRequest(resident_key="nobody").SerializeToString()
            end = asyncio.get_running_loop().time() + _OVERLOAD_SECONDS
            while asyncio.get_running_loop().time() < end:
                try:
                    await rpc(request, metadata=list(_METADATA.items()), timeout=_PATIENCE_SECONDS)
                except grpc.aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                        return _delay(dict(error.trailing_metadata() or ()).get(DETAILS_KEY, b""))
        return 0.0


def _delay(details: bytes | str) -> float:
    info = error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(details).details:
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return 0.0


class CallsFailed(Exception):
    """Calls of the bench were refused: the measurement would mean nothing."""


@asynccontextmanager
async def bus_place(root: Path, **env: str) -> AsyncIterator[Stack]:
    """A city of two services, with somebody who takes their spans."""
    otlp = f"{HOST}:{reserve()}"
    env |= {"ELDEX_TRACE_RATIO": "0.1", "ELDEX_OTLP_ENDPOINT": otlp, "ELDEX_EDGE": "envoy"}
    settings = Settings.for_tests(root, **env)
    stack = Stack(settings, services=("registry", "exchange"))
    try:
        async with Child("bench.sink", otlp):
            await stack.up()
            yield stack
    finally:
        await asyncio.shield(stack.down())


async def hop_in(stack: Stack, exits: AsyncExitStack, rounds: int) -> Hop:
    """Residents who are asked for, and the proxies beside the exchange."""
    binary, root = await installed(), stack.settings.root
    async with Child("bench.callers", str(stack.identity("service/exchange"))) as callers:
        job = {"do": "register", "road": "trunk", "window": 512, "count": RESIDENTS}
        told = await callers.ask(target=stack.address("registry"), **job)
    data = root / "requests.json"
    data.write_text(json.dumps([{"resident_key": key} for key in told["keys"]]))
    caller = Caller(binary, protoset(pb.DESCRIPTOR, root / "registry.protoset"), _CALL, data)
    hop = Hop(stack, caller, rounds)
    for kind in ("bare", "plain"):
        await hop.add(exits, kind, str(root / f"{kind}.log"))
    await hop.add(exits, "xroad", stack.mongod.uri)
    return hop
