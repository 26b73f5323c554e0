"""Trees, maps and sentences, whatever broken clients send."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from eldex.console.domain.service_map import Edge, columns, steps
from eldex.console.domain.spans import Kind, Span, party_of
from eldex.console.domain.traces import tree
from eldex.console.web import drawing
from eldex.console.web.render import clock_time, duration, percent

IDS = st.sampled_from([f"{n:016x}" for n in range(1, 9)])


def a_span(span_id: str, parent_id: str = "", start_us: int = 0, length_us: int = 1) -> Span:
    return Span("a" * 32, span_id, parent_id, "registry", "op", Kind.SERVER, start_us, length_us,
                False, "", ())  # fmt: skip


@given(
    st.lists(st.tuples(IDS, st.one_of(st.just(""), IDS), st.integers(0, 99), st.integers(0, 99)))
)
def test_every_span_is_shown_once_even_in_circles_and_without_parents(
    sent: list[tuple[str, str, int, int]],
) -> None:
    spans = [a_span(*each) for each in sent]
    trace = tree("a" * 32, spans)
    shown = [row.span.span_id for row in trace.rows]
    assert sorted(shown) == sorted({span.span_id for span in spans})
    for before, row in zip(trace.rows, trace.rows[1:], strict=False):
        assert row.level <= before.level + 1
    if spans:
        for bar in drawing.waterfall(trace).bars:
            assert 0 <= bar.left <= 100
            assert 0 < bar.width <= 100
            assert bar.left + bar.width <= 100.001


def test_a_child_whose_parent_is_not_known_here_stands_as_a_root_and_says_so() -> None:
    trace = tree("a" * 32, [a_span("b", "never-recorded", 5), a_span("c", "b", 6)])
    assert [(r.span.span_id, r.level, r.orphan) for r in trace.rows] == [
        ("b", 0, True),
        ("c", 1, False),
    ]


PARTIES = st.sampled_from("abcdef")


@given(st.lists(st.tuples(PARTIES, PARTIES, st.sampled_from(["", "topic", "other-topic"]))))
def test_everybody_stands_once_on_the_map_and_every_event_runs_from_left_to_right(
    sent: list[tuple[str, str, str]],
) -> None:
    edges = [Edge(*ends, count=1, errors=0, mean_us=1.0) for ends in sent]
    stacked = [place for column in columns(edges) for place in column]
    assert len(set(stacked)) == len(stacked)
    assert set(stacked) == {place for pair in steps(edges) for place in pair}
    picture = drawing.service_map(edges)
    corners = {(node.x, node.y) for node in picture.nodes}
    assert len(corners) == len(stacked)
    assert all(0 <= n.x < picture.width and 0 <= n.y < picture.height for n in picture.nodes)
    assert all(line.start.x < line.end.x for line in picture.lines if line.events)


def test_callers_stand_left_of_whom_they_call_and_readers_right_of_what_they_read() -> None:
    edges = [
        Edge("civil-affairs", "exchange", "", 1, 0, 1.0),
        Edge("exchange", "registry", "", 1, 0, 1.0),
        Edge("registry", "medical", "registry-residents", 1, 0, 1.0),
        Edge("medical", "registry", "medical-insurance", 1, 0, 1.0),
    ]
    assert [[place.name for place in column] for column in columns(edges)] == [
        ["civil-affairs"],
        ["exchange"],
        ["medical", "registry"],
        ["medical-insurance", "registry-residents"],
        ["registry", "medical"],
    ]


def test_a_party_is_named_by_what_it_is_and_not_by_its_certificate() -> None:
    assert party_of("511700/service/exchange") == "exchange"
    assert (
        party_of("511700/member/police/household-registration") == "police/household-registration"
    )
    assert party_of("member/police/household-registration") == "police/household-registration"
    assert party_of("partner-500100/elder-care") == "partner-500100/elder-care"


def test_durations_and_shares_read_as_a_person_says_them() -> None:
    said = [duration(us) for us in (0, 850, 12_340, 999_900, 1_240_000, 125_000_000, 7_300_000_000)]
    assert said == ["0 µs", "850 µs", "12.3 ms", "1 s", "1.24 s", "2 m 05 s", "2 h 01 m"]
    assert [percent(share) for share in (0, 0.0001, 0.5)] == ["0 %", "< 0.1 %", "50.0 %"]
    assert clock_time(datetime(2026, 11, 21, 16, 0, 0, 7_000, tzinfo=UTC)) == "00:00:00.007"
