"""Subscriptions, their deliveries and dead letters as messages of the contract."""

from __future__ import annotations

from google.protobuf.message import Message

from eldex.api.exchange.v1 import delivery_pb2, subscription_events_pb2
from eldex.common.dates import proto_instant
from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.delivery.memory import DeadLetter, Lag
from eldex.exchange.domain.subscriptions import (
    DeliveryKind,
    Endpoint,
    PauseCause,
    Subscription,
    SubscriptionPaused,
    SubscriptionResumed,
    Wanted,
    topic_of,
)

_USUAL_IN_FLIGHT = 8
_TOPIC_IN_FLIGHT = 32


def wanted(message: delivery_pb2.EventFilter) -> Wanted:
    """Read which events are wanted."""
    return Wanted(
        tuple(message.event_types),
        tuple(RegionCode.parse(code) for code in message.region_codes),
        tuple(message.subject_classes),
        message.expression,
    )


def endpoint(message: delivery_pb2.WebhookEndpoint, per_minute: int | None) -> Endpoint:
    """Read where events are posted; the endpoint itself said how many a minute."""
    return Endpoint(message.url, message.max_in_flight or _USUAL_IN_FLIGHT, per_minute)


def delivery_kind(value: delivery_pb2.DeliveryKind.ValueType) -> DeliveryKind:
    """Read how events are delivered; the field's rule leaves those that there are."""
    return DeliveryKind[delivery_pb2.DeliveryKind.Name(value).removeprefix("DELIVERY_KIND_")]


def topic_endpoint(address: str, subscription_key: str) -> Endpoint:
    """Where the subscriber reads the topic of its own."""
    return Endpoint(f"kafka://{address}/{topic_of(subscription_key)}", _TOPIC_IN_FLIGHT)


def event_subscription(found: Subscription, acknowledged: int) -> delivery_pb2.EventSubscription:
    """A subscription with its delivery, as replies show it; never a secret."""
    shown = delivery_pb2.EventSubscription(
        subscription_key=found.key,
        subsystem=found.subsystem,
        subscription_name=found.name,
        filter=delivery_pb2.EventFilter(
            event_types=found.event_types,
            region_codes=[str(code) for code in found.region_codes],
            subject_classes=found.subject_classes,
            expression=found.expression,
        ),
        kind=delivery_pb2.DeliveryKind.Value(f"DELIVERY_KIND_{found.delivery.name}"),
        secrets=[
            delivery_pb2.WebhookSecret(
                secret_id=each.secret_id, created_at=proto_instant(each.created_at)
            )
            for each in found.secrets
        ],
        state=delivery_pb2.SubscriptionState.Value(f"SUBSCRIPTION_STATE_{found.state.name}"),
        pause_cause=_cause(found.pause_cause),
        paused_at=proto_instant(found.paused_at),
        acknowledged_cursor=acknowledged,
        created_at=proto_instant(found.created_at),
        etag=found.etag,
    )
    if found.topic and found.endpoint is not None:
        shown.topic.bootstrap_servers = found.endpoint.url.split("/")[2]
        shown.topic.topic = found.topic
    elif found.endpoint is not None:
        shown.webhook.url = found.endpoint.url
        shown.webhook.max_in_flight = found.endpoint.max_in_flight
    return shown


def _cause(cause: PauseCause | None) -> delivery_pb2.PauseCause.ValueType:
    name = "UNSPECIFIED" if cause is None else cause.name
    return delivery_pb2.PauseCause.Value(f"PAUSE_CAUSE_{name}")


def dead_letter(found: DeadLetter) -> delivery_pb2.DeliveryDeadLetter:
    """A dead letter as replies show it."""
    return delivery_pb2.DeliveryDeadLetter(
        dead_letter_key=found.key,
        subscription_key=found.subscription_key,
        cursor=found.cursor,
        event_id=found.event_id,
        event_type=found.event_type,
        subject=found.subject,
        reason=found.reason,
        attempts=found.attempts,
        set_aside_at=proto_instant(found.set_aside_at),
        redelivered_at=proto_instant(found.redelivered_at),
        redelivering=found.redelivering,
    )


def lag(found: Lag, dead_letters: int) -> delivery_pb2.SubscriptionLag:
    """How far a subscriber is behind, as replies show it."""
    return delivery_pb2.SubscriptionLag(
        acknowledged_cursor=found.acknowledged,
        newest_cursor=found.newest,
        lag_events=found.events,
        lag_seconds=found.seconds,
        retrying_events=found.retrying,
        dead_letters=dead_letters,
        failing_since=proto_instant(found.failing_since),
    )


def event(fact: SubscriptionPaused | SubscriptionResumed) -> Message:
    """A fact of the exchange as the message that is published."""
    match fact:
        case SubscriptionPaused():
            return subscription_events_pb2.SubscriptionPaused(
                subscription_key=fact.subscription_key,
                cause=_cause(fact.cause),
                failing_since=proto_instant(fact.failing_since),
            )
        case SubscriptionResumed():
            return subscription_events_pb2.SubscriptionResumed(
                subscription_key=fact.subscription_key
            )
