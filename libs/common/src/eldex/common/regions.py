"""The divisions of the country (行政区划): dated, with their successors and functional zones.

The committed table holds the national statistical table of 2023-06-30 down to the township, the
county codes of GB/T 2260 since 1980, and functional zones that have no code there; how it is made
and from what stands in `tools/import_divisions.py`. Villages are 38 MB and are read only from the
files that an operator gives (`Divisions.load(extra=[...])`); those of 达州 (5117) are shipped.
"""

from __future__ import annotations

import csv
import gzip
import io
import lzma
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from importlib.resources import files
from pathlib import Path
from typing import Self

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode, RegionLevel

RESOURCES = files("eldex.common") / "data"
DIVISIONS_RESOURCE = "divisions.tsv.xz"
VILLAGES_5117_RESOURCE = "villages-5117.tsv.xz"


class UnknownDivision(DomainError):
    """No table has the code, or none has it for that day."""

    kind = Kind.INVALID
    reason = "DIVISION_UNKNOWN"
    zh = (
        "区划代码 {code} {when_zh}不存在。请核对代码；若为新设区划或村级代码，"
        "请由运维人员用 import_divisions.py 导入新的区划表"
    )
    en = (
        "division code {code} is not known{when}: check it; if the division is new, or a village,"
        " have operations import a newer table (import_divisions.py)"
    )

    def __init__(self, code: RegionCode, on: date | None = None) -> None:
        super().__init__(
            code=code.value,
            when=f" on {on}" if on else "",
            when_zh=f"在 {on} " if on else "",
        )


class MalformedDivisionTable(DomainError):
    """A line of an operator's table cannot be read."""

    kind = Kind.INVALID
    reason = "DIVISION_TABLE_MALFORMED"
    zh = "区划表 {source} 第 {line} 行有误：{problem}"
    en = "division table {source}, line {line}: {problem}"

    def __init__(self, source: str, line: int, problem: str) -> None:
        super().__init__(source=source, line=line, problem=problem)


class CodeSet(Enum):
    """Where a code comes from (代码来源)."""

    GB_T_2260 = "gb"
    """GB/T 2260: province, prefecture, county."""
    STATISTICAL = "statistical"
    """统计用区划代码 only: townships, villages and functional zones (county digits 71-80)."""
    AGGREGATE = "aggregate"
    """汇总码 such as 市辖区: sums up others, is no place where anybody lives."""
    OWN = "own"
    """Own source: a functional zone that no official table codes (seed 002: 达州 高新区)."""


@dataclass(frozen=True, slots=True)
class Division:
    """A division under one name for one length of time, half-open.

    `valid_from` None: since before the tables begin (1980, townships: 2023). `valid_to` None: still
    in force. Between two editions of the table both bounds are the widest possible ones.
    """

    code: RegionCode
    name: str
    code_set: CodeSet
    valid_from: date | None
    valid_to: date | None
    successors: tuple[RegionCode, ...]

    def in_force(self, on: date) -> bool:
        """Whether the division existed under this name on that day."""
        begun = self.valid_from is None or self.valid_from <= on
        return begun and (self.valid_to is None or on < self.valid_to)


_MOST_REMEMBERED = 200_000


class Divisions:
    """Answers by code what a division is called, was called, and what became of it.

    Lookups take `on`, the day meant; without it the newest entry of the code counts, abolished or
    not. Rows are parsed when first asked for: loading takes well under 0.3 s.
    """

    def __init__(self, rows: Iterable[tuple[str, str]] = ()) -> None:
        self._lines: dict[str, list[str]] = defaultdict(list)
        for code, line in rows:
            self._lines[code].append(line)
        self._parsed: dict[str, tuple[Division, ...]] = {}
        self._found: dict[tuple[str, date | None], Division | None] = {}
        self._children: dict[str, list[str]] | None = None

    @classmethod
    def load(cls, extra: Sequence[Path] = ()) -> Self:
        """The committed table with the villages of 达州, and an operator's files over it.

        A file has lines `code, name[, set[, valid from[, valid to[, successors]]]]`, tab-separated,
        or is a CSV with the header `code,name,...`; .gz and .xz are unpacked. Its entries for a
        code take the place of all that was known about that code.
        """
        table = cls(_resource_rows(DIVISIONS_RESOURCE))
        table._take(_resource_rows(VILLAGES_5117_RESOURCE))
        for path in extra:
            table._take(read_table(path))
        return table

    def extended(self, divisions: Iterable[Division]) -> Divisions:
        """A new table with these divisions added or replaced."""
        table = Divisions()
        table._lines = defaultdict(list, self._lines)
        by_code: dict[str, list[Division]] = defaultdict(list)
        for division in divisions:
            by_code[division.code.value].append(division)
        for code, periods in by_code.items():
            table._lines[code] = []
            table._parsed[code] = tuple(periods)
        return table

    def _take(self, rows: Iterable[tuple[str, str]]) -> None:
        fresh: dict[str, list[str]] = defaultdict(list)
        for code, line in rows:
            fresh[code].append(line)
        self._lines.update(fresh)

    def periods(self, code: RegionCode) -> tuple[Division, ...]:
        """All that is known of a code, oldest first; empty if it is in no table."""
        found = self._parsed.get(code.value)
        if found is None:
            lines = self._lines.get(code.value)
            parsed = [_parse(line) for line in lines] if lines else []
            found = tuple(sorted(parsed, key=lambda d: d.valid_from or date.min))
            if found:
                self._parsed[code.value] = found
        return found

    def find(self, code: RegionCode, on: date | None = None) -> Division | None:
        """The entry of a code, on that day or the newest; None if there is none."""
        asked = (code.value, on)
        if asked in self._found:  # the same few codes are asked for all day
            return self._found[asked]
        found = next(
            (d for d in reversed(self.periods(code)) if on is None or d.in_force(on)), None
        )
        if len(self._found) < _MOST_REMEMBERED:
            self._found[asked] = found
        return found

    def get(self, code: RegionCode, on: date | None = None) -> Division:
        """The entry of a code, on that day or the newest; `UnknownDivision` if there is none."""
        division = self.find(code, on)
        if division is None:
            raise UnknownDivision(code, on)
        return division

    def known(self, code: RegionCode, on: date | None = None) -> bool:
        """Whether the code was in force on that day, or ever if no day is given."""
        return self.find(code, on) is not None

    def ever_known(self, code: RegionCode) -> bool:
        """Whether the code stood in any table at any time."""
        return code.value in self._lines

    def abolished_on(self, code: RegionCode) -> date | None:
        """The first day on which the code surely was no longer in force; None while it is."""
        division = self.find(code)
        return division.valid_to if division else None

    def name(self, code: RegionCode, on: date | None = None) -> str:
        """The division's own name: 通川区."""
        return self.get(code, on).name

    def full_name(self, code: RegionCode, on: date | None = None) -> str:
        """The name with those above it: 四川省达州市通川区. Aggregates (市辖区) are left out."""
        self.get(code, on)
        names = []
        for each in reversed(code.lineage()):
            division = self.find(each, on) or self.find(each)
            if division is not None and division.code_set is not CodeSet.AGGREGATE:
                names.append(division.name)
        return "".join(names)

    def children(self, code: RegionCode | None, on: date | None = None) -> tuple[Division, ...]:
        """The divisions just below one (None: the provinces), by code, without aggregates.

        Without a day: those that are in force today's table, not the abolished ones.
        """
        if self._children is None:
            self._children = defaultdict(list)
            for each in self._lines:
                parent = RegionCode(each).parent()
                self._children[parent.value if parent else ""].append(each)
        found = []
        for each in sorted(self._children.get(code.value if code else "", ())):
            division = self.find(RegionCode(each), on)
            if division is None or (on is None and division.valid_to is not None):
                continue
            if division.code_set is CodeSet.AGGREGATE and division.code.level == RegionLevel.COUNTY:
                continue
            found.append(division)
        return tuple(found)

    def successors(self, code: RegionCode) -> tuple[RegionCode, ...]:
        """The codes that took the place of an abolished one; empty if it lives on or none is known.

        One step: 513021 达县 became 511721, which became 511703 达川区 (see `current`).
        """
        division = self.find(code)
        if division is None:
            raise UnknownDivision(code)
        return division.successors

    def current(self, code: RegionCode, on: date) -> tuple[RegionCode, ...]:
        """Follow successors to the codes in force on a day; empty where the trail is lost."""
        found: list[RegionCode] = []
        seen: set[RegionCode] = set()
        todo = [code]
        while todo:
            each = todo.pop(0)
            if each in seen:
                continue
            seen.add(each)
            if self.known(each, on):
                found.append(each)
            else:
                todo.extend(self.successors(each))
        return tuple(found)

    def __len__(self) -> int:
        return len(self._lines)


def read_table(path: Path) -> Iterator[tuple[str, str]]:
    """The rows of an operator's file as code and line; every line is checked before it is used."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        data = lzma.decompress(data)
    elif path.suffix == ".gz":
        data = gzip.decompress(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        broken = data[: error.start].count(b"\n") + 1
        raise MalformedDivisionTable(path.name, broken, "not UTF-8") from error
    lines = text.splitlines()
    if lines and lines[0].startswith("code,"):
        lines = ["\t".join((r["code"], r["name"])) for r in csv.DictReader(io.StringIO(text))]
        first = 2
    else:
        first = 1
    for number, line in enumerate(lines, first):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            division = _parse(line)
        except (DomainError, ValueError) as error:
            raise MalformedDivisionTable(path.name, number, str(error)) from error
        if not division.name:
            raise MalformedDivisionTable(path.name, number, "the name is empty")
        yield division.code.value, line


def _resource_rows(name: str) -> Iterator[tuple[str, str]]:
    text = lzma.decompress((RESOURCES / name).read_bytes()).decode()
    for line in text.split("\n")[1:]:
        if line:
            yield line.partition("\t")[0], line


def _parse(line: str) -> Division:
    cells = [cell.strip() for cell in line.split("\t")]
    code, name, code_set, begun, ended, successors = (cells + [""] * 5)[:6]
    region = RegionCode.parse(code)
    return Division(
        code=region,
        name=name,
        code_set=_code_set(region, code_set),
        valid_from=date.fromisoformat(begun) if begun else None,
        valid_to=date.fromisoformat(ended) if ended else None,
        successors=tuple(RegionCode.parse(each) for each in successors.split()),
    )


def _code_set(code: RegionCode, mark: str) -> CodeSet:
    if mark == "A":
        return CodeSet.AGGREGATE
    if mark == "O":
        return CodeSet.OWN
    if mark:
        raise ValueError(f"the code set must be A, O or empty, not {mark!r}")
    zone = code.level == RegionLevel.COUNTY and "71" <= code.value[4:] <= "80"
    below = code.level > RegionLevel.COUNTY
    return CodeSet.STATISTICAL if zone or below else CodeSet.GB_T_2260
