"""Spans in MongoDB: one document each, forgotten by the database after the days that are set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from eldex.common.clock import Clock
from eldex.common.logs import logger
from eldex.common.mongo import MongoBackend
from eldex.common.store import Document, Index
from eldex.console.domain.service_map import DELIVERIES, Edge, Edges
from eldex.console.domain.spans import Kind, Span, SpanEvent, SpanLink, Tags, instant, party_of
from eldex.console.domain.traces import Search, Trace, TraceSummary, tree

SPANS: Final = "spans"
OPERATIONS: Final = "operations"

_DUPLICATE_KEY = 11000
_MOST_AT_ONCE = 4_000
"""Spans of one command: the database takes 100,000 and 48 MB, and an export may hold more."""
_MOST_SCANNED = 50_000
"""A search looks through at most this many of the newest spans that fit."""
_MOST_EDGES = 20_000
"""The map is drawn from at most this many of the newest calls and events, and says so."""
MOST_SPANS_OF_A_TRACE: Final = 2_000
_MOST_SPANS_OF_A_MATTER = 5_000
_SEEN_AGAIN = timedelta(hours=12)

COLLECTIONS: Final[Mapping[str, Sequence[Index]]] = {
    SPANS: [
        # Each document carries its own end, so that another setting needs no other index.
        Index((("expires_at", 1),), expire_after_seconds=0),
        Index((("trace_id", 1), ("start_us", 1))),
        Index((("at", -1), ("trace_id", 1))),
        Index((("service", 1), ("at", -1), ("trace_id", 1))),
        Index((("service", 1), ("name", 1), ("at", -1), ("trace_id", 1))),
        Index((("tags", 1), ("at", -1))),
        Index((("error", 1), ("at", -1)), where={"error": True}),
        Index((("entry", 1), ("at", -1)), where={"entry": True}),
        Index((("subject", 1), ("at", -1)), where={"subject": {"$gt": ""}}),
    ],
    OPERATIONS: [Index((("expires_at", 1),), expire_after_seconds=0)],
}


class MongoSpans:
    """`Spans` on MongoDB."""

    def __init__(self, backend: MongoBackend, clock: Clock, kept_for: timedelta) -> None:
        self._backend, self._clock, self._kept_for = backend, clock, kept_for
        self._seen: dict[tuple[str, str], datetime] = {}

    async def add(self, spans: Sequence[Span]) -> None:
        """Keep them; a span that was sent twice stays as it came first."""
        now = self._clock()
        for first in range(0, len(spans), _MOST_AT_ONCE):
            await self._insert(spans[first : first + _MOST_AT_ONCE], now)
        await self._note_operations(spans, now)

    async def _insert(self, spans: Sequence[Span], now: datetime) -> None:
        documents = [_document(span, now + self._kept_for) for span in spans]

        # The plain command, because it answers duplicates instead of raising.
        reply = await self._backend.ask(
            lambda db: db.command(
                "insert",
                SPANS,
                documents=documents,
                ordered=False,
                writeConcern={"w": "majority"},
            )
        )
        errors = reply.get("writeErrors", [])
        strange = [error for error in errors if error["code"] != _DUPLICATE_KEY]
        if strange:
            logger().error("spans_not_stored", spans=len(strange), code=strange[0]["code"])

    async def _note_operations(self, spans: Sequence[Span], now: datetime) -> None:
        seen = {(s.service, s.name) for s in spans}
        new = [each for each in seen if self._seen.get(each, now) <= now]
        if not new:
            return
        updates = [
            {
                "q": {"_id": f"{service}\n{name}"},
                "u": {"$set": {"expires_at": now + self._kept_for + _SEEN_AGAIN}},
                "upsert": True,
            }
            for service, name in new
        ]
        await self._backend.ask(lambda db: db.command("update", OPERATIONS, updates=updates))
        if len(self._seen) > 20_000:
            self._seen.clear()
        self._seen.update(dict.fromkeys(new, now + _SEEN_AGAIN))

    async def search(self, search: Search) -> list[TraceSummary]:
        """Traces with a span that fits, newest first."""
        stages: list[Document] = [
            {"$match": _where(search)},
            {"$sort": {"at": -1}},
            {"$limit": _MOST_SCANNED},
            {"$group": {"_id": "$trace_id", "at": {"$max": "$at"}}},
            {"$sort": {"at": -1, "_id": 1}},
            {"$limit": search.limit},
        ]
        found = [d["_id"] for d in await self._aggregate(stages)]
        summaries = await self._summaries(found)
        return sorted(summaries, key=lambda s: -s.start_us)

    async def _summaries(self, trace_ids: Sequence[str]) -> list[TraceSummary]:
        if not trace_ids:
            return []
        first = {"start": "$start_us", "service": "$service", "name": "$name", "root": "$root"}
        stages: list[Document] = [
            {"$match": {"trace_id": {"$in": list(trace_ids)}}},
            {"$set": {"root": {"$ne": ["$parent", ""]}}},
            {"$sort": {"root": 1, "start_us": 1}},
            {
                "$group": {
                    "_id": {"trace": "$trace_id", "service": "$service"},
                    "spans": {"$sum": 1},
                    "errors": {"$sum": {"$cond": ["$error", 1, 0]}},
                    "start": {"$min": "$start_us"},
                    "end": {"$max": {"$add": ["$start_us", "$duration_us"]}},
                    "first": {"$first": first},
                }
            },
        ]
        by_trace: dict[str, list[Document]] = {}
        for part in await self._aggregate(stages):
            by_trace.setdefault(part["_id"]["trace"], []).append(part)
        return [_summary(trace_id, parts) for trace_id, parts in by_trace.items()]

    async def trace(self, trace_id: str) -> Trace | None:
        """One trace, cut to its first spans if it is very long."""
        where = {"trace_id": trace_id}
        spans = await self._find(where, MOST_SPANS_OF_A_TRACE)
        if not spans:
            return None
        total = len(spans)
        if total == MOST_SPANS_OF_A_TRACE:
            total = await self._backend.count(SPANS, where)
        return tree(trace_id, spans, total)

    async def of_traces(self, trace_ids: Sequence[str]) -> list[Span]:
        """Their spans, in order of time, up to a limit."""
        where = {"trace_id": {"$in": list(trace_ids)}}
        return await self._find(where, _MOST_SPANS_OF_A_MATTER) if trace_ids else []

    async def traces_about(self, key: str, limit: int) -> list[str]:
        """The newest traces that name a subject or an event's id."""
        either = [{"subject": key}, {"tags": f"messaging.message.id={key}"}]
        stages: list[Document] = [
            {"$match": {"$or": either}},
            {"$group": {"_id": "$trace_id", "at": {"$max": "$at"}}},
            {"$sort": {"at": -1}},
            {"$limit": limit},
        ]
        return [d["_id"] for d in await self._aggregate(stages)]

    async def operations(self) -> dict[str, list[str]]:
        """Services with their operations, in alphabetical order."""
        found: dict[str, list[str]] = {}
        for document in await self._backend.query(OPERATIONS, {}, [("_id", 1)], 5_000):
            service, _, name = document["_id"].partition("\n")
            found.setdefault(service, []).append(name)
        return found

    async def edges(self, since: datetime, until: datetime) -> Edges:
        """Calls by the caller's and the callee's spans; events by producer's and consumer's."""
        entries = {"entry": True, "at": {"$gte": since, "$lt": until}}
        outside = {"$ifNull": ["$caller", ""]}
        known = {"$ifNull": [{"$first": "$above.service"}, ""]}
        stages: list[Document] = [
            {"$match": entries},
            {"$sort": {"at": -1}},
            {"$limit": _MOST_EDGES},
            {
                "$lookup": {
                    "from": SPANS,
                    "localField": "parent",
                    "foreignField": "_id",
                    "pipeline": [{"$project": {"service": 1, "_id": 0}}],
                    "as": "above",
                }
            },
            {
                "$group": {
                    "_id": {
                        "caller": {"$cond": [{"$eq": [known, ""]}, outside, known]},
                        "callee": {"$ifNull": ["$subscriber", "$service"]},
                        "publisher": {"$cond": [{"$gt": ["$subscriber", ""]}, "$service", ""]},
                        "topic": {"$ifNull": ["$topic", ""]},
                    },
                    "count": {"$sum": 1},
                    "errors": {"$sum": {"$cond": ["$error", 1, 0]}},
                    "mean_us": {"$avg": "$duration_us"},
                }
            },
        ]
        edges = []
        for document in await self._aggregate(stages):
            ends = document["_id"]
            caller = ends["publisher"] or ends["caller"]
            if caller and caller != ends["callee"]:
                counts = (document["count"], document["errors"], document["mean_us"])
                edges.append(Edge(caller, ends["callee"], ends["topic"], *counts))
        edges.sort(key=lambda e: (e.caller, e.callee, e.topic))
        total = await self._backend.count(SPANS, entries)
        return Edges(edges, min(total, _MOST_EDGES), total)

    async def count(self) -> int:
        """About how many are kept."""
        return await self._backend.ask(lambda db: db[SPANS].estimated_document_count())

    async def _find(self, where: Document, limit: int) -> list[Span]:
        found = await self._backend.query(SPANS, where, [("start_us", 1)], limit)
        return [_span(document) for document in found]

    async def _aggregate(self, stages: Sequence[Document]) -> list[Document]:
        return await self._backend.ask(
            lambda db: list(db[SPANS].aggregate(stages, maxTimeMS=10_000))
        )


def _where(search: Search) -> Document:
    where: Document = {"at": {"$gte": search.since, "$lt": search.until}}
    if search.service:
        where["service"] = search.service
    if search.operation:
        where["name"] = search.operation
    if search.tags:
        where["tags"] = {"$all": list(search.tags)}
    if search.errors_only:
        where["error"] = True
    bounds = {"$gte": search.min_us, "$lte": search.max_us}
    bounds = {operator: bound for operator, bound in bounds.items() if bound is not None}
    if bounds:
        where["duration_us"] = bounds
    return where


def _summary(trace_id: str, parts: Sequence[Document]) -> TraceSummary:
    # False sorts before True: a span without a parent before the earliest of the others.
    root = min((part["first"] for part in parts), key=lambda f: (f["root"], f["start"]))
    services = sorted(
        ((p["_id"]["service"], p["spans"]) for p in parts), key=lambda s: (-s[1], s[0])
    )
    return TraceSummary(
        trace_id=trace_id,
        root_service=root["service"],
        root_name=root["name"],
        start_us=min(part["start"] for part in parts),
        end_us=max(part["end"] for part in parts),
        spans=sum(part["spans"] for part in parts),
        errors=sum(part["errors"] for part in parts),
        services=tuple(services),
    )


# --- a span as a document -------------------------------------------------------------------------


def _document(span: Span, expires_at: datetime) -> Document:
    tags = dict(span.tags)
    document: Document = {
        "_id": span.trace_id + span.span_id,
        "trace_id": span.trace_id,
        "parent": span.trace_id + span.parent_id if span.parent_id else "",
        "service": span.service,
        "name": span.name,
        "kind": span.kind.value,
        "at": _cut(instant(span.start_us)),
        "start_us": span.start_us,
        "duration_us": span.duration_us,
        "error": span.error,
        "message": span.message,
        "tags": _pairs(span.tags),
        "events": [[e.at_us, e.name, _pairs(e.tags)] for e in span.events],
        "links": [[each.trace_id, each.span_id, _pairs(each.tags)] for each in span.links],
        "process": _pairs(span.process),
        "expires_at": expires_at,
    }
    if subject := tags.get("eldex.subject"):
        document["subject"] = subject
    subscriber = tags.get("eldex.subscriber")
    # What the map is drawn from: where somebody's call or event comes in.
    if span.kind in {Kind.SERVER, Kind.CONSUMER} or subscriber:
        document["entry"] = True
        if topic := tags.get("messaging.destination.name"):
            document["topic"] = topic
        if caller := tags.get("eldex.caller"):
            document["caller"] = party_of(caller)
        if subscriber:
            document["subscriber"] = subscriber
            document["topic"] = DELIVERIES
    return document


def _cut(at: datetime) -> datetime:
    """To milliseconds, which is what MongoDB keeps."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)


def _pairs(tags: Tags) -> list[str]:
    return [f"{key}={value}" for key, value in tags]


def _tags(pairs: Sequence[str]) -> Tags:
    return tuple((key, value) for key, _, value in (pair.partition("=") for pair in pairs))


def _span(document: Document) -> Span:
    return Span(
        trace_id=document["trace_id"],
        span_id=document["_id"][32:],
        parent_id=document["parent"][32:],
        service=document["service"],
        name=document["name"],
        kind=Kind(document["kind"]),
        start_us=document["start_us"],
        duration_us=document["duration_us"],
        error=document["error"],
        message=document["message"],
        tags=_tags(document["tags"]),
        events=tuple(SpanEvent(at, name, _tags(t)) for at, name, t in document["events"]),
        links=tuple(SpanLink(trace, span, _tags(t)) for trace, span, t in document["links"]),
        process=_tags(document["process"]),
    )
