"""The window under a virtual clock: whatever fails, hangs or dies, order and completeness hold."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eldex.exchange.domain.delivery.memory import Delivery
from eldex.exchange.domain.delivery.schedule import Schedule, retry_after
from eldex.exchange.domain.delivery.window import Health, Pending, Window

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
SCHEDULE = Schedule(retries=(5.0, 60.0), probe_first=5.0, probe_longest=40.0)
PARALLEL, MOST = 4, 12


def due(cursor: int, subject: str) -> Pending:
    return Pending(cursor, f"evt_{cursor}", "x.Y", subject, NOON)


class Deliveries(RuleBasedStateMachine):
    """A feed, a window, an endpoint that does what it likes, and crashes."""

    @initialize()
    def begin(self) -> None:
        self.now = NOON
        self.feed: list[str] = []
        self.window = Window(SCHEDULE, PARALLEL, most=MOST)
        self.memory = Delivery(key="sub", run=0, scanned=0)
        self.remembered: Delivery = copy.deepcopy(self.memory)
        self.taken: list[int] = []
        self.dead: set[int] = set()

    @rule(subject=st.sampled_from("abcdef"))
    def something_happens(self, subject: str) -> None:
        self.feed.append(subject)

    @rule()
    def read_on(self) -> None:
        for cursor in range(self.window.scanned + 1, len(self.feed) + 1):
            if not self.window.room:
                return
            self.window.admit(due(cursor, self.feed[cursor - 1]))

    @rule()
    def send_what_may_go(self) -> None:
        for pending in self.window.due(self.now):
            self.window.begin(pending.cursor, self.now)

    @precondition(lambda self: self.window.in_flight)
    @rule(data=st.data(), wish=st.sampled_from([None, 30.0]))
    def one_is_answered(self, data: st.DataObject, wish: float | None) -> None:
        cursor = data.draw(st.sampled_from(sorted(self.window.in_flight)))
        answer = data.draw(st.sampled_from(["taken", "refused", "no evidence"]))
        if answer == "taken":
            self.window.taken(cursor)
            self.taken.append(cursor)
        elif answer == "no evidence":
            self.window.put_back(cursor)
        else:
            asked = timedelta(seconds=wish) if wish else None
            if self.window.failed(cursor, self.now, "HTTP_500", 0.5, asked) is not None:
                self.dead.add(cursor)
                self.remember()

    @rule(seconds=st.sampled_from([1, 10, 100]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def remember(self) -> None:
        self.memory.note(self.window)
        self.remembered = copy.deepcopy(self.memory)

    @rule()
    def killed(self) -> None:
        known = self.memory = copy.deepcopy(self.remembered)
        self.window = Window(
            SCHEDULE, PARALLEL, None, known.scanned, known.pending, known.health, MOST
        )

    @invariant()
    def no_two_of_a_subject_are_on_their_way(self) -> None:
        subjects = [self.feed[cursor - 1] for cursor in self.window.in_flight]
        assert len(subjects) == len(set(subjects))
        assert len(subjects) <= PARALLEL
        assert len(self.window) <= MOST

    @invariant()
    def each_subject_came_in_its_order(self) -> None:
        first: dict[str, list[int]] = {}
        for cursor in dict.fromkeys(self.taken):
            first.setdefault(self.feed[cursor - 1], []).append(cursor)
        assert all(cursors == sorted(cursors) for cursors in first.values())

    @invariant()
    def what_was_passed_has_ended(self) -> None:
        ended = set(self.taken) | self.dead
        assert set(range(1, self.window.settled + 1)) <= ended
        assert set(range(1, self.remembered.acknowledged + 1)) <= ended

    @invariant()
    def something_goes_on_as_long_as_something_is_here(self) -> None:
        if not len(self.window) or self.window.in_flight:
            return
        at = self.window.next_at(self.now)
        assert at is not None
        assert self.window.due(max(at, self.now))

    def teardown(self) -> None:
        """In the end, with an endpoint that takes everything, everything has come."""
        for _ in range(4 * len(self.feed) + 8):
            self.read_on()
            self.send_what_may_go()
            for cursor in sorted(self.window.in_flight):
                self.window.taken(cursor)
                self.taken.append(cursor)
            self.each_subject_came_in_its_order()
            self.now += timedelta(seconds=100)
        assert set(self.taken) | self.dead == set(range(1, len(self.feed) + 1))


Deliveries.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestDeliveries = Deliveries.TestCase


def test_the_usual_schedule_ends_after_a_day_and_some_hours() -> None:
    usual = Schedule()
    pauses = [usual.pause(attempt, 0.5) for attempt in range(1, 9)]
    assert pauses[-1] is None
    seconds = [pause.total_seconds() for pause in pauses if pause is not None]
    assert seconds == [5, 300, 1800, 7200, 18000, 36000, 36000]
    assert usual.pause(1, 0.0) == timedelta(seconds=4)
    assert usual.pause(1, 1.0) == timedelta(seconds=6)
    assert usual.probe(50, 0.5) == timedelta(seconds=300)


def test_an_endpoint_that_refuses_different_events_is_down_and_they_lose_no_try() -> None:
    window = Window(SCHEDULE, PARALLEL)
    for cursor in range(1, 11):
        window.admit(due(cursor, f"s{cursor}"))
    for pending in window.due(NOON)[:3]:
        window.begin(pending.cursor, NOON)
        window.failed(pending.cursor, NOON, "TIMEOUT", 0.5)
    assert window.is_down
    now = NOON
    for _ in range(100):
        now += timedelta(seconds=40)
        (probe,) = window.due(now)  # one at a time
        window.begin(probe.cursor, now)
        assert window.failed(probe.cursor, now, "TIMEOUT", 0.5) is None
    assert max(pending.attempts for pending in window) == 1
    window.begin(window.due(now + timedelta(seconds=40))[0].cursor, now)
    window.taken(next(iter(window.in_flight)))
    assert len(window.due(now)) == PARALLEL


def test_what_failed_together_counts_once_so_that_an_endpoint_soon_back_is_soon_asked() -> None:
    window = Window(SCHEDULE, 8)
    for cursor in range(1, 10):
        window.admit(due(cursor, f"s{cursor}"))
    for pending in window.due(NOON):
        window.begin(pending.cursor, NOON)
    for cursor in sorted(window.in_flight):  # its machine is switched off with eight on their way
        window.failed(cursor, NOON, "NO_ANSWER", 0.5)
    assert window.is_down
    assert window.next_at(NOON) == NOON + timedelta(seconds=5)
    # It is still away at the first probe: from then on less and less often.
    (probe,) = window.due(NOON + timedelta(seconds=5))
    window.begin(probe.cursor, NOON + timedelta(seconds=5))
    window.failed(probe.cursor, NOON + timedelta(seconds=6), "NOT_REACHED", 0.5)
    assert window.next_at(NOON) == NOON + timedelta(seconds=16)


def test_an_endpoint_is_dead_after_its_time_and_not_before() -> None:
    usual = Schedule()
    health = Health(failures=10, failing_since=NOON)
    window = Window(usual, 1, health=health)
    assert not window.is_dead(NOON + timedelta(days=2))
    assert window.is_dead(NOON + timedelta(days=3))


def test_the_rate_that_an_endpoint_allows_is_kept() -> None:
    window = Window(SCHEDULE, 32, per_second=10.0)
    now, sent = NOON, 0
    for cursor in range(1, 201):
        window.admit(due(cursor, f"s{cursor}"))
    while now < NOON + timedelta(seconds=10):
        for pending in window.due(now):
            window.begin(pending.cursor, now)
            window.taken(pending.cursor)
            sent += 1
        now += timedelta(milliseconds=20)
    assert 90 <= sent <= 102


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("Sun, 22 Nov 2026 04:01:00 GMT", 60),
        ("Sun, 22 Nov 2026 03:00:00 GMT", 0),
        ("99999999999999999999", 86_400),
        ("soon", None),
        ("Sun, 22 Nov 99999999999999999999 04:01:00 GMT", None),
        ("Sun, 99999999999999999999 Nov 2026 04:01:00 GMT", None),
        ("-5", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_a_day(
    value: str, seconds: int | None
) -> None:
    wish = retry_after(value, NOON)
    assert (None if wish is None else wish.total_seconds()) == seconds
