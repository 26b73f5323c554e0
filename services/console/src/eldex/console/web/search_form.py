"""The search form: what was typed, as a search; and what is wrong with it, in words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from eldex.common.clock import CHINA
from eldex.common.privacy import quotes_identity_number
from eldex.console.domain.people import LooksLikeIdentityNumber
from eldex.console.domain.proofs import LogSearch
from eldex.console.domain.traces import Search

WINDOWS: Final = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
}
LIMITS: Final = (20, 50, 100, 200)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(us|µs|ms|s|m)")
_UNITS_US = {"us": 1, "µs": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000}


def N_(text: str) -> str:  # noqa: N802 - gettext's mark for a text that is translated later
    """Mark a text for the catalogue."""
    return text


@dataclass(slots=True)
class TimeForm:
    """From when to when, kept as it was typed."""

    window: str = "1h"
    since: str = ""
    until: str = ""
    problems: dict[str, str] = field(default_factory=dict)
    """Field → what to mend, in English (the id of the translation)."""

    def between(self, now: datetime) -> tuple[datetime, datetime]:
        """The time that is meant; `problems` tell what cannot be understood."""
        if self.window != "custom":
            self.window = self.window if self.window in WINDOWS else "1h"
            # A little into the future, for senders whose clock is ahead.
            return now - WINDOWS[self.window], now + timedelta(minutes=1)
        since = self.instant("since") or now - WINDOWS["1h"]
        until = self.instant("until") or now
        if since >= until:
            self.problems["until"] = N_("The end must be after the beginning.")
        return since, until

    def instant(self, name: str) -> datetime | None:
        """A field as an instant; a time without its zone is China's."""
        text = getattr(self, name)
        try:
            found = datetime.fromisoformat(text) if text else None
        except ValueError:
            self.problems[name] = N_("Give a day and a time, such as 2026-11-22T08:30.")
            return None
        if found is None:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=CHINA)).astimezone(UTC)


@dataclass(slots=True)
class SearchForm(TimeForm):
    """A search of traces as it was typed."""

    service: str = ""
    operation: str = ""
    tags: str = ""
    min: str = ""
    max: str = ""
    errors: str = ""
    limit: str = "20"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> SearchForm:
        """Read a query string; raises `LooksLikeIdentityNumber`."""
        names = ("service", "operation", "tags", "min", "max", "errors", "since", "until")
        form = cls()
        for name in names:
            setattr(form, name, query.get(name, "").strip()[:300])
        form.window = query.get("window", "1h")
        form.limit = query.get("limit", "20")
        refuse_identity_numbers(form.tags, form.operation)
        return form

    def search(self, now: datetime) -> Search | None:
        """The search, or None and `problems`."""
        since, until = self.between(now)
        found = Search(
            since=since,
            until=until,
            service=self.service,
            operation=self.operation,
            tags=self._tags(),
            min_us=self._duration("min"),
            max_us=self._duration("max"),
            errors_only=bool(self.errors),
            limit=self._limit(),
        )
        if None not in {found.min_us, found.max_us} and (found.min_us or 0) > (found.max_us or 0):
            self.problems["max"] = N_("The longest must not be shorter than the shortest.")
        return None if self.problems else found

    def _limit(self) -> int:
        known = [limit for limit in LIMITS if str(limit) == self.limit]
        return known[0] if known else LIMITS[0]

    def _tags(self) -> tuple[str, ...]:
        try:
            parts = shlex.split(self.tags)
        except ValueError:
            parts = ["?"]
        if any("=" not in part or part.startswith("=") for part in parts):
            self.problems["tags"] = N_(
                "Write tags as key=value, separated by blanks; quote values that hold blanks."
            )
            return ()
        return tuple(parts)

    def _duration(self, name: str) -> int | None:
        text = getattr(self, name)
        if not text:
            return None
        found = _DURATION.fullmatch(text)
        if found is None:
            self.problems[name] = N_("Write a duration with its unit, such as 500us, 10ms or 1.2s.")
            return None
        return round(float(found[1]) * _UNITS_US[found[2]])


def refuse_identity_numbers(*texts: str) -> None:
    """Raise `LooksLikeIdentityNumber` if there is one; it is neither kept nor repeated."""
    if any(quotes_identity_number(text) for text in texts):
        raise LooksLikeIdentityNumber


_TRACE = re.compile(r"([0-9a-f]{32})?")
CODES: Final = (
    "OK", "PERMISSION_DENIED", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS",
    "FAILED_PRECONDITION", "ABORTED", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED",
    "CANCELLED", "INTERNAL",
)  # fmt: skip
KINDS: Final = ("call", "admin", "delivery")


@dataclass(slots=True)
class LogForm(TimeForm):
    """A search of the message log as it was typed."""

    window: str = "1d"
    subsystem: str = ""
    method: str = ""
    agreement: str = ""
    code: str = ""
    trace: str = ""
    kind: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> LogForm:
        """Read a query string; raises `LooksLikeIdentityNumber`."""
        form = cls()
        names = ("window", "since", "until", "subsystem", "method", "agreement", "trace")
        for name in names:
            setattr(form, name, query.get(name, getattr(form, name)).strip()[:200])
        form.code = query.get("code", "") if query.get("code") in CODES else ""
        form.kind = query.get("kind", "") if query.get("kind") in KINDS else ""
        form.trace = form.trace.lower()
        refuse_identity_numbers(form.subsystem, form.method, form.agreement, form.trace)
        return form

    def search(self, now: datetime) -> LogSearch | None:
        """The search, or None and `problems`."""
        since, until = (None, None) if self.window == "all" else self.between(now)
        if not _TRACE.fullmatch(self.trace):
            self.problems["trace"] = N_("A trace id has 32 hexadecimal digits.")
        if self.problems:
            return None
        whole = self.subsystem.startswith(("member/", "service/")) or not self.subsystem
        return LogSearch(
            since=since,
            until=until,
            subsystem=self.subsystem if whole else f"member/{self.subsystem}",
            method=self.method,
            agreement_key=self.agreement,
            code=self.code,
            trace_id=self.trace,
            kind=self.kind,
        )
