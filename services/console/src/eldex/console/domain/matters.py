"""A matter (事项): what happened, in which department, after how long; read from its spans."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from eldex.console.domain.spans import Kind, Span, party_of

TRACE_ID = re.compile(r"[0-9a-f]{32}")
_OPERATIONS = ("grpc.", "eldex.api.operations.", "eldex.api.trunk.")
"""Calls that are about the machinery, not about a matter."""


class Deed(StrEnum):
    """What a step was."""

    FORWARDED = "forwarded"
    """The exchange let a call through, or did not."""
    ANSWERED = "answered"
    """A department answered a call."""
    PUBLISHED = "published"
    """A department told what had happened."""
    APPLIED = "applied"
    """A department acted on what it was told."""
    DELIVERED = "delivered"
    """The exchange handed an event to a subscriber."""
    REPLAYED = "replayed"
    """An operator had a dead letter applied again."""


class Outcome(StrEnum):
    """How a step ended."""

    DONE = "done"
    REPEATED = "repeated"
    """It was known already, so nothing changed."""
    REFUSED = "refused"
    """A call was answered with an error."""
    SET_ASIDE = "set-aside"
    """An event could never be applied and went to the dead letters."""
    HELD = "held"
    """An event could not be applied yet; it is tried again."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a department did."""

    at: datetime
    after_us: int
    """Since the matter began."""
    duration_us: int
    department: str
    deed: Deed
    about: str
    """Full name of the rpc or the event."""
    counterpart: str
    """Who asked, or to whom it was handed; empty if nobody in particular."""
    topic: str
    event_id: str
    subject: str
    outcome: Outcome
    reason: str
    trace_id: str
    span_id: str


def steps_of(spans: Iterable[Span]) -> list[Step]:
    """The steps of a matter, in order of time."""
    found = sorted(spans, key=lambda span: (span.start_us, span.span_id))
    began = found[0].start_us if found else 0
    steps = (_step(span, began) for span in found)
    return [step for step in steps if step is not None]


def _step(span: Span, began_us: int) -> Step | None:
    deed = _deed(span)
    if deed is None:
        return None
    event_type = span.tag("eldex.event.type")
    return Step(
        at=span.at,
        after_us=span.start_us - began_us,
        duration_us=span.duration_us,
        department=span.service,
        deed=deed,
        about=event_type or span.tag("rpc.method") or span.name,
        counterpart=span.tag("eldex.subscriber") or party_of(span.tag("eldex.caller")),
        topic=span.tag("messaging.destination.name"),
        event_id=span.tag("messaging.message.id"),
        subject=span.tag("eldex.subject"),
        outcome=_outcome(span, deed),
        reason=span.tag("error.type") or span.message if span.error else "",
        trace_id=span.trace_id,
        span_id=span.span_id,
    )


def _deed(span: Span) -> Deed | None:
    if span.kind is Kind.PRODUCER:
        return Deed.DELIVERED if span.tag("eldex.subscriber") else Deed.PUBLISHED
    if span.kind is Kind.CONSUMER:
        return Deed.APPLIED
    if span.kind is not Kind.SERVER:
        return None
    if span.name.endswith("/ReplayDeadLetter"):
        return Deed.REPLAYED
    if span.name.startswith(_OPERATIONS):
        return None
    forwarded = span.service == "exchange" and not span.name.startswith("eldex.api.exchange.")
    return Deed.FORWARDED if forwarded else Deed.ANSWERED


def _outcome(span: Span, deed: Deed) -> Outcome:
    told = span.tag("eldex.outcome")
    if told == "dead":
        return Outcome.SET_ASIDE
    if told == "repeated":
        return Outcome.REPEATED
    if not span.error:
        return Outcome.DONE
    return Outcome.HELD if deed is Deed.APPLIED else Outcome.REFUSED
