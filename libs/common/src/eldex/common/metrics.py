"""Every metric there is, named and described; nothing is counted that is not on this page.

Names follow Prometheus: base units, `_total` for counters. Labels are bounded: methods, topics and
reasons come from the contract, never from a request; a subscription's name does, but a subsystem may
have only a few.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

registry = CollectorRegistry()
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

calls = Counter(
    "eldex_calls",
    "Calls answered, by method and gRPC status code.",
    ["method", "code"],
    registry=registry,
)
call_seconds = Histogram(
    "eldex_call_seconds",
    "From a call's arrival to its answer.",
    ["method"],
    buckets=_SECONDS,
    registry=registry,
)
calls_in_flight = Gauge("eldex_calls_in_flight", "Calls being worked on.", registry=registry)
peer_calls = Counter(
    "eldex_peer_calls",
    "Calls made to other services, by method and code.",
    ["method", "code"],
    registry=registry,
)
commit_batch = Histogram(
    "eldex_commit_batch_changes",
    "Change sets that shared one transaction.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    registry=registry,
)
outbox_events = Gauge(
    "eldex_outbox_events", "Events committed and not yet published.", registry=registry
)
outbox_age_seconds = Gauge(
    "eldex_outbox_age_seconds", "Age of the oldest event not yet published.", registry=registry
)
published = Counter(
    "eldex_events_published", "Events the broker has acknowledged.", ["topic"], registry=registry
)
consumed = Counter(
    "eldex_events_consumed",
    "Events done with: applied, skipped (not for us), repeated (known already), dead (set aside).",
    ["topic", "outcome"],
    registry=registry,
)
event_seconds = Histogram(
    "eldex_event_seconds",
    "From an event's birth to its effect being durable here.",
    ["topic"],
    buckets=_SECONDS,
    registry=registry,
)
lag_events = Gauge(
    "eldex_lag_events",
    "Events of a partition not yet applied here.",
    ["topic", "partition"],
    registry=registry,
)
lag_seconds = Gauge(
    "eldex_lag_seconds",
    "Age of the oldest event not yet applied here.",
    ["topic", "partition"],
    registry=registry,
)
partition_held = Gauge(
    "eldex_partition_held",
    "1 while a partition waits for a mend or a retry.",
    ["topic", "partition"],
    registry=registry,
)
certificate_not_after = Gauge(
    "eldex_certificate_not_after_timestamp_seconds",
    "When the certificate that this process shows ends, in seconds since 1970.",
    registry=registry,
)
dead_letters = Counter(
    "eldex_dead_letters", "Events set aside, by reason.", ["topic", "reason"], registry=registry
)

deliveries = Counter(
    "eldex_deliveries",
    "Tries to deliver an event to a partner's endpoint: taken, refused, gone, withdrawn (the right to "
    "it ended).",
    ["subscription", "outcome"],
    registry=registry,
)
delivery_seconds = Histogram(
    "eldex_delivery_seconds",
    "From an event's birth to a partner's endpoint having taken it.",
    buckets=_SECONDS,
    registry=registry,
)
delivery_dead_letters = Counter(
    "eldex_delivery_dead_letters",
    "Events that a partner's endpoint would not take, by the last reason.",
    ["reason"],
    registry=registry,
)
deliveries_held = Counter(
    "eldex_deliveries_held",
    "Subscriptions paused by the exchange: endpoint_dead, endpoint_gone.",
    ["cause"],
    registry=registry,
)
subscription_lag_events = Gauge(
    "eldex_subscription_lag_events",
    "Events due to a subscriber and not delivered or acknowledged yet.",
    ["subscription"],
    registry=registry,
)
subscription_lag_seconds = Gauge(
    "eldex_subscription_lag_seconds",
    "Age of the oldest of them.",
    ["subscription"],
    registry=registry,
)
subscription_down = Gauge(
    "eldex_subscription_endpoint_down",
    "1 while a partner's endpoint refuses everything and is tried with one event at a time.",
    ["subscription"],
    registry=registry,
)

witness_age_seconds = Gauge(
    "eldex_witness_age_seconds",
    "Age of a partner's newest cosignature of a head of our log; +Inf: it has co-signed none.",
    ["partner"],
    registry=registry,
)
witness_contradicted = Gauge(
    "eldex_witness_contradicted",
    "1 while a partner has co-signed what our log is not: there are two histories of it.",
    ["partner"],
    registry=registry,
)
checkpoints_forked = Counter(
    "eldex_checkpoints_forked",
    "Heads of a partner's log that were not co-signed because they were not shown to go on from what was.",
    ["log"],
    registry=registry,
)

glass_broken = Counter(
    "eldex_glass_broken",
    "Calls that set consent or place aside in an emergency, by the service called.",
    ["service"],
    registry=registry,
)
glass_overdue = Gauge(
    "eldex_glass_overdue", "Emergencies not reviewed by their deadline.", registry=registry
)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(registry)
