"""How soon partners have an event, from the moment it is told to Kafka until it is in their hands.

The exchange runs as in `bench/hop.py`. Events of 8 topics are written to Kafka at a fixed rate, whatever
the deliveries do; every subscriber has a right to all of them.

- `delivery_p99_seconds` — 10 subscribers on streams, 240 events/s: 2,400 deliveries a second, none lost.
- `delivery_events_per_second` — the highest of the rates tried at which the p99 stays below 2 s and
  nothing is lost: where it bends.
- `hung_partner_p99_ratio` — 14 webhooks, p99 of 13 of them while the 14th answers nothing, over the same
  with all well; rounds in turns.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from bench.child import Child
from bench.place import cpu_seconds
from eldex.api.exchange.v1 import delivery_pb2
from eldex.api.exchange.v1 import delivery_service_pb2 as pb
from eldex.api.topics import load_topics
from eldex.common.kafka import Producer, Record
from eldex.common.rpc.client import channel
from eldex.local.authority import Authority
from eldex.local.stack import AGREEMENTS, Stack

SUBSCRIBERS: Final = 10
PARTNERS: Final = 14
RATE: Final = 240
_TOPICS: Final = 8
_SECONDS: Final = 8
_LIMIT_SECONDS: Final = 2.0
_FURTHER: Final = (480, 960, 1_920, 3_840)
_PARTNERS_RATE: Final = 15
_PARTNERS_SECONDS: Final = 6
_TICK_SECONDS: Final = 0.01
_PATIENCE_SECONDS: Final = 30.0
_CREATE: Final = "/eldex.api.exchange.v1.DeliveryService/CreateSubscription"


def _told() -> list[tuple[str, str]]:
    """Eight topics, and an event of each."""
    return [(topic.name, topic.events[0]) for topic in load_topics().values()][:_TOPICS]


def _subsystem(kind: str, number: int) -> str:
    return f"member/{kind}-{number}/elder-care"


_MEMBERS: Final = [
    *(_subsystem("subscriber", number) for number in range(SUBSCRIBERS)),
    *(_subsystem("partner", number) for number in range(PARTNERS)),
]


def environment(root: Path) -> dict[str, str]:
    """What the exchange is told, so that these partners have a right to the events."""
    agreements = yaml.safe_load(AGREEMENTS.read_text()) + [
        {
            "agreement_key": f"bench-{subsystem.split('/')[1]}",
            "subsystem": subsystem,
            "purposes": ["cross-city-settlement"],
            "legal_basis": "（虚构）",
            "valid_from": {"year": 2026, "month": 1, "day": 1},
            "event_types": [kind for _, kind in _told()],
            "region_codes": ["51"],
        }
        for subsystem in _MEMBERS
    ]
    path = root / "agreements.yaml"
    path.write_text(json.dumps(agreements))
    return {
        "ELDEX_AGREEMENTS_FILE": str(path),
        "ELDEX_WEBHOOK_ALLOW_HTTP": "true",
        "ELDEX_WEBHOOK_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    }


class Deliveries:
    """The partners, and the rounds of events."""

    def __init__(self, stack: Stack, partners: Child, rounds: int) -> None:
        self.stack, self.partners, self.rounds = stack, partners, rounds
        self._producer = Producer(stack.kafka.bootstrap, "bench")
        self._runs = itertools.count()

    async def tell(self, rate: int, seconds: int) -> tuple[str, int]:
        """Events at a rate; the run they belong to and how many they were."""
        run, count, topics = str(next(self._runs)), rate * seconds, _told()
        begin = time.monotonic_ns()
        told = 0
        while told < count:
            due = min(count, int((time.monotonic_ns() - begin) * rate / 1e9))
            records = []
            for number in range(told, due):
                planned = begin + int(number * 1e9 / rate)
                topic, kind = topics[number % len(topics)]
                subject = f"res_{number % 500:026d}"
                headers = {
                    "ce_id": f"bench-{run}-{number}-{planned}",
                    "ce_type": kind,
                    "ce_source": "//511700/bench",
                    "ce_time": datetime.now(UTC).isoformat(),
                    "ce_subject": subject,
                    "ce_regions": "511702",
                }
                records.append(Record(topic, subject, b"", headers))
            told = due
            if records:
                await self._producer.publish(records)
            await asyncio.sleep(_TICK_SECONDS)
        return run, count

    async def round(self, names: Sequence[str], rate: int, seconds: int) -> tuple[list[float], int]:
        """Events at a rate; how long these waited for them, and how many did not come."""
        return await self._waits(names, *await self.tell(rate, seconds))

    async def _waits(self, names: Sequence[str], run: str, count: int) -> tuple[list[float], int]:
        job = {"run": run, "names": list(names), "count": count, "seconds": _PATIENCE_SECONDS}
        got = await self.partners.ask(do="waits", **job)
        return got["waits"], got["lost"]

    async def streams(self) -> tuple[float, int]:
        """The p99 at the promised rate, in seconds, and the highest rate that is held."""
        names = [f"subscriber-{number}" for number in range(SUBSCRIBERS)]
        for number, name in enumerate(names):
            subsystem = _subsystem("subscriber", number)
            await self.partners.ask(do="stream", name=name, subsystem=subsystem)
        await self.round(names, RATE, 2)
        pid = self.stack.parts["exchange"].pid
        assert pid is not None
        promised, held = 0.0, 0
        print(f"\ndeliveries: {SUBSCRIBERS} streams, {_TOPICS} topics, {_SECONDS} s each")
        for rate in (RATE, *_FURTHER):
            before = cpu_seconds({"exchange": pid})["exchange"]
            waits, lost = await self.round(names, rate, _SECONDS)
            used = cpu_seconds({"exchange": pid})["exchange"] - before
            p99 = _at(waits, 99)
            if rate == RATE:
                if lost:
                    raise EventsLost(f"{lost} events did not come")
                promised = p99
            if p99 < _LIMIT_SECONDS and not lost:
                held = rate
            print(
                f"  {rate:6,} events/s: p50 {_at(waits, 50):.3f} s, p99 {p99:.3f} s, {lost} lost;"
                f" {used / rate / _SECONDS * 1e6:.0f} µs of the exchange's CPU per event,"
                f" load {os.getloadavg()[0]:.1f}"
            )
            if held != rate:
                break
        return promised, held

    async def hung_partner(self) -> tuple[float, float]:
        """The p99 in ms of 13 partners with the 14th hung, and with all well: medians of rounds."""
        names = [f"partner-{number}" for number in range(PARTNERS)]
        for number, name in enumerate(names):
            port = (await self.partners.ask(do="endpoint", name=name))["port"]
            await self._subscribe(_subsystem("partner", number), f"http://127.0.0.1:{port}/eldex")
        healthy = names[1:]
        await self.round(names, _PARTNERS_RATE, 2)
        kept: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(2 * self.rounds):
            is_hung = turn % 4 in {
                1,
                2,
            }  # without, with, with, without: what drifts, drifts for both
            if is_hung:
                await self.partners.ask(do="hang", name=names[0])
            told = await self.tell(_PARTNERS_RATE, _PARTNERS_SECONDS)
            waits, lost = await self._waits(healthy, *told)
            kept[is_hung].append(_at(waits, 99) * 1000)
            await self.partners.ask(do="wake")
            # Also the one that hung has all of it, before the next round begins.
            lost += (await self._waits(names[:1], *told))[1]
            if lost:
                raise EventsLost(f"{lost} events did not come")
        hung, well = statistics.median(kept[True]), statistics.median(kept[False])
        shown = {key: [round(each, 1) for each in value] for key, value in kept.items()}
        print(
            f"\nhung partner: p99 of {len(healthy)} others, ms, with {shown[True]},"
            f" without {shown[False]}; {_PARTNERS_RATE} events/s; load {os.getloadavg()[0]:.1f}"
        )
        return hung, well

    async def _subscribe(self, subsystem: str, url: str) -> None:
        request = pb.CreateSubscriptionRequest(
            request_id=str(uuid.uuid4()),
            subscription_name="bench",
            kind=delivery_pb2.DELIVERY_KIND_WEBHOOK,
            webhook=delivery_pb2.WebhookEndpoint(url=url),
        )
        tls = self.stack.identity(subsystem)
        async with channel(self.stack.address("exchange"), tls) as opened:
            rpc: Any = opened.unary_unary(_CREATE)
            await rpc(request.SerializeToString(), timeout=10.0)

    def close(self) -> None:
        """Let go of Kafka."""
        self._producer.close()


class EventsLost(Exception):
    """Events of the bench did not come: the measurement would mean nothing."""


def _at(samples: Sequence[float], percent: float) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def deliver(stack: Stack, exits: AsyncExitStack, rounds: int) -> Deliveries:
    """Partners of a running city whose exchange was told of them (`environment`)."""
    authority = Authority.open(stack.pki, stack.settings.trust_domain)
    for subsystem in _MEMBERS:
        authority.issue(f"{stack.settings.city}/{subsystem}", stack.identity(subsystem))
    args = (stack.address("exchange"), str(stack.pki))
    partners = await exits.enter_async_context(Child("bench.partners", *args))
    made = Deliveries(stack, partners, rounds)
    exits.callback(made.close)
    return made
