"""Subscriptions: the numbered events, who wants which of them, how, and how far that has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import RegionCode

MOST_SECRETS = 5
MOST_OF_A_SUBSYSTEM = 20


class CursorUnknown(DomainError):
    """A cursor beyond anything that was ever given out."""

    kind, reason = Kind.INVALID, "CURSOR_UNKNOWN"
    zh = "游标 {cursor} 尚不存在，最新为 {newest}"
    en = "there is no cursor {cursor} yet; the newest is {newest}"


class SubscriptionNamed(AlreadyExists):
    """A subsystem's subscriptions have different names."""

    what = "subscription_name"
    zh = "贵单位已有同名订阅：请用 ListSubscriptions 查询，使用已有订阅或改用其他名称"
    en = "you have a subscription of this name already: see ListSubscriptions, and use that one or choose another name"


class NotAWebhook(DomainError):
    """A stream has no secrets."""

    kind, reason = Kind.CONFLICT, "NOT_A_WEBHOOK"
    zh = "该订阅以流方式读取，没有密钥"
    en = "this subscription is read as a stream, which has no secrets"


class TooManySecrets(DomainError):
    """Every active secret is a signature in every delivery."""

    kind, reason = Kind.CONFLICT, "TOO_MANY_SECRETS"
    zh = "有效密钥最多 {most} 个，请先停用旧密钥"
    en = "there may be {most} active secrets: retire an old one first"


class LastSecret(DomainError):
    """A webhook without a secret could not be told from a forgery."""

    kind, reason = Kind.CONFLICT, "LAST_SECRET"
    zh = "这是最后一个有效密钥，请先添加新密钥再停用"
    en = "this is the last active secret: add a new one before retiring it"


class TooManySubscriptions(DomainError):
    """A subsystem may have only so many."""

    kind, reason = Kind.CONFLICT, "TOO_MANY_SUBSCRIPTIONS"
    zh = "每个业务系统最多 {most} 个订阅，请先删除不再使用的订阅"
    en = "a subsystem may have {most} subscriptions: delete one that is not needed any more"


class DeliveryKind(Enum):
    """How events reach the subscriber."""

    STREAM = "stream"
    WEBHOOK = "webhook"
    TOPIC = "topic"
    """Into a Kafka topic of the subscriber's own."""


class State(Enum):
    """Whether it is being delivered."""

    ACTIVE = "active"
    PAUSED = "paused"
    DELETED = "deleted"


class PauseCause(Enum):
    """Why it is not."""

    OWNER = "owner"
    OPERATOR = "operator"
    ENDPOINT_DEAD = "endpoint_dead"
    ENDPOINT_GONE = "endpoint_gone"


@dataclass(frozen=True, slots=True)
class SubscriptionPaused:
    """The delivery of a subscription was held."""

    subscription_key: str
    cause: PauseCause
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionResumed:
    """The delivery of a subscription goes on."""

    subscription_key: str


@dataclass(frozen=True, slots=True)
class Secret:
    """A signing secret; sealed, because whoever has it can forge deliveries."""

    secret_id: str
    sealed: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go, and how many at a time."""

    url: str
    """Where they are posted; of a topic `kafka://<servers>/<topic>`, where the subscriber reads."""
    max_in_flight: int
    per_minute: int | None = None
    """The rate that the endpoint allowed when it agreed; None: any."""


def topic_of(subscription_key: str) -> str:
    """The topic of a subscription: `partner.<member>.<subsystem>.<name>`."""
    return ".".join(("partner", *subscription_key.split("/")[1:]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the events that the agreements allow; each part narrows further, empty ones do not."""

    event_types: tuple[str, ...] = ()
    region_codes: tuple[RegionCode, ...] = ()
    subject_classes: tuple[str, ...] = ()
    expression: str = ""


@dataclass(kw_only=True)
class Subscription(Aggregate):
    """Who wants which events, how, and (for a stream) how far it took them over.

    The key is `<subsystem>/<name>`. How far a webhook has come is kept by its delivery.
    """

    subsystem: str
    name: str
    event_types: list[str] = field(default_factory=list)
    region_codes: list[RegionCode] = field(default_factory=list)
    acknowledged: int = 0
    seen_at: datetime | None = None
    subject_classes: list[str] = field(default_factory=list)
    expression: str = ""
    delivery: DeliveryKind = DeliveryKind.STREAM
    endpoint: Endpoint | None = None
    secrets: list[Secret] = field(default_factory=list)
    state: State = State.ACTIVE
    pause_cause: PauseCause | None = None
    paused_at: datetime | None = None
    created_at: datetime | None = None
    start: int = 0
    """After which cursor a webhook's delivery begins; counts when `run` is new to it."""
    run: int = 0
    """Raised by everything that sets the delivery back or begins it anew."""

    @property
    def topic(self) -> str:
        """Its topic; empty if it is not delivered into one."""
        return topic_of(self.key) if self.delivery is DeliveryKind.TOPIC else ""

    @property
    def wanted(self) -> Wanted:
        """Which events."""
        return Wanted(
            tuple(self.event_types),
            tuple(self.region_codes),
            tuple(self.subject_classes),
            self.expression,
        )

    def want(self, wanted: Wanted) -> None:
        """Change which events."""
        self.event_types = list(wanted.event_types)
        self.region_codes = list(wanted.region_codes)
        self.subject_classes = list(wanted.subject_classes)
        self.expression = wanted.expression

    def acknowledge(self, cursor: int, newest: int) -> None:
        """Move on; never back."""
        if cursor > newest:
            raise CursorUnknown(cursor=cursor, newest=newest)
        self.acknowledged = max(self.acknowledged, cursor)

    def replay(self, after: int) -> None:
        """Deliver again from a point on."""
        self.start, self.acknowledged = after, after
        self.run += 1

    def pause(self, cause: PauseCause, now: datetime, failing_since: datetime | None) -> None:
        """Hold the delivery; one that is held already stays as it is."""
        if self.state is not State.ACTIVE:
            return
        self.state, self.pause_cause, self.paused_at = State.PAUSED, cause, now
        self.record(SubscriptionPaused(self.key, cause, failing_since))

    def resume(self) -> None:
        """Go on where it stood."""
        if self.state is not State.PAUSED:
            return
        self.state, self.pause_cause, self.paused_at = State.ACTIVE, None, None
        self.record(SubscriptionResumed(self.key))

    def add_secret(self, secret: Secret) -> None:
        """Sign with a further secret."""
        self._needs_endpoint()
        if len(self.secrets) >= MOST_SECRETS:
            raise TooManySecrets(most=MOST_SECRETS)
        self.secrets.append(secret)

    def retire_secret(self, secret_id: str) -> None:
        """Sign with it no more; one that is not there changes nothing."""
        self._needs_endpoint()
        left = [secret for secret in self.secrets if secret.secret_id != secret_id]
        if not left:
            raise LastSecret
        self.secrets = left

    def delete(self) -> None:
        """Give it up: nothing that lets anybody deliver is kept."""
        self.state, self.pause_cause, self.paused_at = State.DELETED, None, None
        self.endpoint, self.secrets = None, []

    def _needs_endpoint(self) -> None:
        if self.delivery is DeliveryKind.STREAM:
            raise NotAWebhook


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event with its number in the feed."""

    cursor: int
    event_id: str
    type: str
    source: str
    subject: str
    occurred_at: datetime
    regions: tuple[RegionCode, ...]
    payload: bytes
    traceparent: str
