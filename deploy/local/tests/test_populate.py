"""Which generated city a running one holds is chosen once, by words that say what to give."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import pytest

from eldex.local.narrating import Words, languages, said
from eldex.local.populate import Inhabitants, choose, scale_of
from eldex.local.stack import BadSetting


@pytest.mark.parametrize(
    ("text", "scale"), [("1/1000", Fraction(1, 1000)), ("0.01", Fraction(1, 100)), ("1", 1)]
)
def test_a_size_is_given_as_a_share(text: str, scale: Fraction) -> None:
    assert scale_of(text) == scale


@pytest.mark.parametrize("text", ["2", "0", "-0.1", "1/2000", "1/0", "big", "", "nan", "1e-9"])
def test_a_size_that_is_none_is_refused_with_what_to_give(text: str) -> None:
    with pytest.raises(ValueError, match=r"from 1/1000 .* to 1 .* such as 1/100 or 0.01"):
        scale_of(text)


def test_a_city_keeps_its_people_and_takes_no_others_beside_them(tmp_path: Path) -> None:
    assert choose(tmp_path) == Inhabitants(2, "1/1000")
    assert choose(tmp_path, 7, Fraction(1, 100)) == Inhabitants(7, "1/100")
    held = Inhabitants(7, "1/100", is_whole=True)
    (tmp_path / "city.json").write_text(json.dumps(asdict(held)))
    assert choose(tmp_path) == choose(tmp_path, 7) == held
    with pytest.raises(BadSetting, match=r"holds the people of seed 7, scale 1/100.*make clean"):
        choose(tmp_path, 8)
    with pytest.raises(BadSetting, match="those of seed 7, scale 1/1000"):
        choose(tmp_path, None, Fraction(1, 1000))


def test_officials_read_both_languages_or_the_one_they_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ELDEX_LANG", raising=False)
    assert said("死亡", "death") == "死亡 · death"
    monkeypatch.setenv("ELDEX_LANG", "zh")
    assert said(*Words("死亡", "death")) == "死亡"
    monkeypatch.setenv("ELDEX_LANG", "en")
    assert said("死亡", "death") == "death"
    with pytest.raises(BadSetting, match="give both, zh, en"):
        languages({"ELDEX_LANG": "fr"})
