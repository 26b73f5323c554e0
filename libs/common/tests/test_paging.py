"""Page tokens: opaque, bound to their question, refused with a field and a reason."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.common import paging
from eldex.common.errors import InvalidRequest

QUESTION = pb.ListDeadLettersRequest(include_replayed=True, page_size=10)


@given(st.text(min_size=1).filter(lambda key: key.isprintable()))
def test_a_token_goes_on_where_the_page_ended(key: str) -> None:
    token = paging.token(QUESTION, key)
    assert paging.after(QUESTION, token) == key


def test_a_token_does_not_show_where_it_goes_on() -> None:
    assert "residents" not in paging.token(QUESTION, "residents/0/7")


def test_the_size_of_the_next_page_may_differ_and_the_token_itself_is_no_part_of_the_question() -> (
    None
):
    token = paging.token(QUESTION, "res_1")
    larger = pb.ListDeadLettersRequest(include_replayed=True, page_size=500, page_token=token)
    assert paging.after(larger, token) == "res_1"


def test_there_is_nothing_after_the_last_page_and_before_the_first() -> None:
    assert paging.token(QUESTION, None) == ""
    assert paging.after(QUESTION, "") is None


def test_a_token_of_another_question_is_refused() -> None:
    token = paging.token(QUESTION, "res_1")
    for other in (pb.ListDeadLettersRequest(), pb.ListDeadLettersRequest(page_size=10)):
        with pytest.raises(InvalidRequest) as refused:
            paging.after(other, token)
        (violation,) = refused.value.violations
        assert (violation.field, violation.rule) == ("page_token", "PAGE_TOKEN_INVALID")
        assert "start again from the first page" in violation.en


@given(st.text(min_size=1, max_size=80))
def test_whatever_else_stands_there_is_refused_too(text: str) -> None:
    with pytest.raises(InvalidRequest):
        paging.after(QUESTION, text)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_token_that_was_tampered_with_never_breaks_us(place: int, flip: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(paging.token(QUESTION, "residents/0/7") + "=="))
    place %= len(raw)
    raw[place] ^= flip
    tampered = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    with contextlib.suppress(InvalidRequest):  # what becomes of most
        assert paging.after(QUESTION, tampered) != "residents/0/7"


def test_a_made_up_token_with_something_else_than_a_number_is_refused() -> None:
    assert paging.after_number(QUESTION, "") is None
    assert paging.after_number(QUESTION, paging.token(QUESTION, "41")) == 41
    for key in ("res_1", "-1", "1e3", "٤", "9" * 19):
        with pytest.raises(InvalidRequest):
            paging.after_number(QUESTION, paging.token(QUESTION, key))


def test_without_a_size_there_is_one() -> None:
    assert paging.size(0) == paging.DEFAULT_SIZE
    assert paging.size(3) == 3
