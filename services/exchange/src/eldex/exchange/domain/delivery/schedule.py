"""When a delivery is tried again, and when a whole endpoint is left alone.

An event that failed waits 5 s, then 5 min, 30 min, 2 h, 5 h, 10 h and 10 h (the schedule that
Standard Webhooks recommends), each a little longer or shorter by chance, so that what failed together
does not come back together. After the last it is set aside. What the endpoint asks for (`Retry-After`)
is a lower bound, up to a day.

An endpoint that refuses several different events in a row is down. That is not the events' fault: they
lose no try by it. One of them at a time is tried, every five minutes at most, until one is taken. An
endpoint that took nothing for three days is dead, and its subscription is paused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_LONGEST_WISH = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of delivery; an operator may set them."""

    retries: tuple[float, ...] = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)
    """Seconds to wait after each failed try of an event; after the last it is set aside."""
    jitter: float = 0.2
    """By how much a pause may be longer or shorter, as a share of it."""
    down_after: int = 3
    """So many different events refused in a row, and the endpoint is down."""
    probe_first: float = 5.0
    """Seconds until an endpoint that is down is tried again; doubled each time."""
    probe_longest: float = 300.0
    dead_after: float = 3 * 86_400.0
    """Seconds without anything taken after which the subscription is paused."""
    dead_failures: int = 10
    """But not before so many failures."""

    def pause(self, attempts: int, chance: float) -> timedelta | None:
        """How long an event waits after its n-th failed try; None: it is set aside.

        `chance` is between 0 and 1.
        """
        if attempts > len(self.retries):
            return None
        return self._jittered(self.retries[attempts - 1], chance)

    def probe(self, probes: int, chance: float) -> timedelta:
        """How long an endpoint that is down is left alone after its n-th failed try (from 0)."""
        # The exponent is bounded, or years of failing would overflow.
        return self._jittered(
            min(self.probe_first * 2 ** min(probes, 32), self.probe_longest), chance
        )

    def _jittered(self, seconds: float, chance: float) -> timedelta:
        return timedelta(seconds=seconds * (1 + self.jitter * (2 * chance - 1)))


def retry_after(value: str, now: datetime) -> timedelta | None:
    """What a `Retry-After` asks for (RFC 9110 §10.2.3: seconds or a date); None if it is neither."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        wish = timedelta(seconds=min(int(value[:10]), int(_LONGEST_WISH.total_seconds())))
    else:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, OverflowError):  # the latter for a day or a year of many digits
            return None
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        wish = at - now
    return min(max(wish, timedelta()), _LONGEST_WISH)
