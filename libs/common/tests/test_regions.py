"""The division table: names, children, history and successors of real places."""

from __future__ import annotations

import lzma
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from eldex.common.identifiers import RegionCode, RegionLevel
from eldex.common.regions import (
    CodeSet,
    Divisions,
    MalformedDivisionTable,
    UnknownDivision,
    read_table,
)

TABLE = Divisions.load()
TODAY = date(2026, 3, 1)
IMPORTER = Path(__file__).parents[1] / "tools" / "import_divisions.py"


def code(text: str) -> RegionCode:
    return RegionCode.parse(text)


def test_a_place_is_called_by_its_full_name_without_aggregates() -> None:
    assert TABLE.full_name(code("511702001")) == "四川省达州市通川区东城街道"
    assert TABLE.full_name(code("500101")) == "重庆市万州区", "not 重庆市市辖区万州区"
    assert TABLE.name(code("511700000000")) == "达州市"


def test_dazhou_has_its_seven_counties_and_its_two_functional_zones() -> None:
    children = {d.code.value: d.code_set for d in TABLE.children(code("5117"))}
    official = {c for c, code_set in children.items() if code_set is CodeSet.GB_T_2260}
    assert official == {"511702", "511703", "511722", "511723", "511724", "511725", "511781"}
    assert {c for c in children if c not in official} == {"511778", "511779"}
    assert TABLE.get(code("511778")).code_set is CodeSet.OWN


def test_baotou_has_nine_counties_and_the_rare_earth_zone_that_gb_t_2260_lacks() -> None:
    """M004-54: 1+10+N."""
    children = TABLE.children(code("1502"))
    assert len(children) == 10
    zones = [d.code.value for d in children if d.code_set is CodeSet.STATISTICAL]
    assert zones == ["150271"]


def test_the_table_reaches_down_to_the_villages_of_dazhou() -> None:
    villages = [
        village
        for county in TABLE.children(code("5117"))
        for township in TABLE.children(county.code)
        for village in TABLE.children(township.code)
    ]
    assert len(villages) == 2283
    assert all(v.code.level is RegionLevel.VILLAGE for v in villages)


def test_the_whole_country_is_there() -> None:
    provinces = TABLE.children(None)
    assert len(provinces) == 34
    counties = [
        c for p in provinces for f in TABLE.children(p.code) for c in TABLE.children(f.code)
    ]
    counties = [c for c in counties if c.code.level is RegionLevel.COUNTY]
    assert 2950 <= len(counties) <= 3000


def test_daxian_became_dachuan_by_way_of_another_code() -> None:
    assert TABLE.name(code("513021"), on=date(1990, 1, 1)) == "达县"
    assert TABLE.successors(code("513021")) == (code("511721"),)
    assert TABLE.current(code("513021"), TODAY) == (code("511703"),)
    assert TABLE.current(code("511702"), TODAY) == (code("511702"),)
    assert not TABLE.known(code("513021"), on=date(2010, 1, 1))
    assert TABLE.known(code("513021"))


def test_a_code_bears_the_name_of_the_day_meant() -> None:
    assert TABLE.name(code("513001"), on=date(1985, 1, 1)) == "达县市"
    assert TABLE.name(code("513001"), on=date(1996, 1, 1)) == "达川市"
    assert TABLE.current(code("513001"), TODAY) == (code("511702"),)


@pytest.mark.parametrize(
    ("old", "new"),
    [("340225", "340281"), ("510202", "500103"), ("330103", "330105"), ("230702", None),
     ("5130", "5117"), ("371202", "370116"), ("140726", "140703")],
)  # fmt: skip
def test_abolished_places_lead_to_what_took_their_place_or_to_nothing(
    old: str, new: str | None
) -> None:
    expected = () if new is None else (code(new),)
    assert TABLE.current(code(old), TODAY) == expected
    assert TABLE.abolished_on(code(old)) is not None


def test_every_successor_is_itself_a_known_code_and_no_chain_runs_in_a_circle() -> None:
    for value in list(TABLE._lines):
        if len(value) <= 6:
            for successor in TABLE.successors(code(value)):
                assert TABLE.known(successor), (value, successor)
            TABLE.current(code(value), TODAY)


def test_an_unknown_code_is_named_and_the_way_out_shown() -> None:
    with pytest.raises(UnknownDivision) as unknown:
        TABLE.get(code("519999"))
    assert "519999" in unknown.value.message("zh")
    assert "import_divisions.py" in unknown.value.message("en")
    with pytest.raises(UnknownDivision, match="2010-01-01"):
        TABLE.get(code("513021"), on=date(2010, 1, 1))


def test_an_operator_brings_the_villages_of_another_city_and_corrects_a_name(
    tmp_path: Path,
) -> None:
    source = tmp_path / "villages.csv"
    source.write_text(
        'code,name,streetCode\n500101001001,"东方红社区",500101001\n511702001001,"外地",1\n',
        "utf-8",
    )
    out = tmp_path / "villages-5001.tsv.gz"
    command: list[str | Path] = [sys.executable, IMPORTER, "villages", source]
    command += ["--within", "5001", "--out", out]
    subprocess.run(command, check=True)
    zones = tmp_path / "zones.tsv"
    zones.write_text("511778\t达州高新区\tO\t2019-09-01\n", "utf-8")
    table = Divisions.load(extra=[out, zones, source])
    assert table.name(code("500101001001")) == "东方红社区"
    assert table.name(code("511778")) == "达州高新区"
    assert not table.known(code("511778"), on=date(2018, 1, 1))
    assert TABLE.name(code("511778")) == "达州高新技术产业园区", "the shipped table is not touched"


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        (b"511702001\tA\n51170\tB\n", 2, "division code"),
        (b"# note\n\n511702001\t\n", 3, "name is empty"),
        (b"511702001\tA\tX\n", 1, "code set"),
        (b"511702001\tA\t\t2020-13-01\n", 1, "month"),
        ("511702001\t东城\n".encode() + "511702001\t东城\n".encode("gbk"), 2, "UTF-8"),
    ],
)
def test_a_broken_line_of_a_table_is_named(
    tmp_path: Path, content: bytes, line: int, problem: str
) -> None:
    path = tmp_path / "broken.tsv"
    path.write_bytes(content)
    with pytest.raises(MalformedDivisionTable, match=problem) as broken:
        list(read_table(path))
    assert broken.value.facts["line"] == line
    assert broken.value.facts["source"] == "broken.tsv"


def test_the_table_is_small_and_loads_fast() -> None:
    assert sum(p.stat().st_size for p in Path(str(_data())).glob("*.xz")) < 400_000
    best = 9.0
    for _ in range(3):
        started = time.process_time()
        Divisions.load().get(code("511702"))
        best = min(best, time.process_time() - started)
    assert best < 0.3


def test_the_committed_table_is_what_the_header_says() -> None:
    text = lzma.decompress((_data() / "divisions.tsv.xz").read_bytes()).decode()
    townships = [row for row in text.split("\n") if len(row.partition("\t")[0]) == 9]
    assert len(townships) == 41_351, "41,352 less 金门县 350527000, which is its county"


def _data() -> Path:
    return Path(__file__).parents[1] / "src/eldex/common/data"
