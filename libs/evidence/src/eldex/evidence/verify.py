"""`eldex-verify`: verify a log offline, trusting nobody's server.

    eldex-verify --policy trusted.policy --receipts ours.receipts LOG_FOLDER

Exit codes: 0 everything is verified; 1 something is wrong: the lines name each record; 2 the command
or a file that was given cannot be understood, nothing was verified; 3 nothing is wrong, and something
could not be checked: the lines tell what.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from eldex.evidence import hashes
from eldex.evidence.audit import Given, audit
from eldex.evidence.encoding import check_origin
from eldex.evidence.errors import EvidenceError
from eldex.evidence.findings import Report
from eldex.evidence.log import CHECKPOINT
from eldex.evidence.policy import Policy
from eldex.evidence.receipts import Bundle, Receipt, read_receipts
from eldex.evidence.segments import SEAL, SEGMENT

BUNDLE: Final = ".tlog-proof"
_CANNOT: Final = 2

_T = TypeVar("_T")


class BadInput(EvidenceError):
    """The command line, or a file that it names, cannot be understood."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        report = audit(_given(options))
    except (EvidenceError, OSError) as error:
        sys.stderr.write(f"eldex-verify: {error}\n")
        return _CANNOT
    if options.json:
        sys.stdout.write(json.dumps(report.as_json(), ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(report))
    return report.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="eldex-verify",
        description="Verify the log of an exchange offline: its segments, checkpoints, receipts.",
        epilog="Exit codes: 0 all verified; 1 something is wrong; 2 bad input; 3 nothing is wrong, "
        "and something could not be checked.",
    )
    add = parser.add_argument
    add("log", nargs="*", type=Path, help="folder of a log, or single segments, seals, hashes")
    add("--policy", type=Path, required=True, help="trusted keys and quorum (C2SP tlog-policy)")
    add("--origin", help="the log's origin; needed if the policy names several logs")
    many: dict[str, Any] = {"type": Path, "action": "append", "default": []}
    add("--checkpoint", metavar="FILE", **many, help="a signed checkpoint; may be repeated")
    add("--receipts", metavar="FILE", **many, help="a member's receipts, one a line")
    add("--bundle", metavar="FILE", **many, help=f"a bundle ({BUNDLE}), or a folder of them")
    add("--json", action="store_true", help="the report as JSON")
    return parser


def _given(options: argparse.Namespace) -> Given:
    policy = Policy.read(options.policy)
    files = [file for path in options.log for file in _files(path)]
    checkpoints = [*options.checkpoint, *(file for file in files if file.name == CHECKPOINT)]
    bundles = [file for path in options.bundle for file in _bundles(path)]
    return Given(
        policy,
        _origin(options.origin, policy),
        segments=[file for file in files if file.name.endswith(SEGMENT)],
        seals=[file for file in files if file.name.endswith(SEAL)],
        hashes=[file for file in files if _is_hashes(file)],
        checkpoints=[(str(path), path.read_bytes()) for path in checkpoints],
        receipts=[
            (str(path), receipt)
            for path in options.receipts
            for receipt in _understood(path, _receipts)
        ],
        bundles=[(str(path), _understood(path, Bundle.parse)) for path in bundles],
    )


def _origin(told: str | None, policy: Policy) -> str:
    origins = {log.name for log in policy.logs}
    if told is None and len(origins) == 1:
        return origins.pop()
    if told is None:
        raise BadInput(f"the policy names {len(origins)} logs: say which one with --origin")
    return check_origin(told)


def _files(path: Path) -> Iterator[Path]:
    """What is known in a folder of a log, or the file itself, which must then be known."""
    if path.is_dir():
        yield from (file for file in sorted(path.iterdir()) if _is_known(file))
    elif not path.exists():
        raise BadInput(f"{path} does not exist")
    elif _is_known(path):
        yield path
    else:
        raise BadInput(f"{path} is no segment, seal, checkpoint or file of hashes by its name")


def _is_known(file: Path) -> bool:
    return file.suffix in {SEGMENT, SEAL} or file.name == CHECKPOINT or _is_hashes(file)


def _is_hashes(file: Path) -> bool:
    """`hashes`, or a copy that somebody else keeps, such as `b-city.hashes`."""
    return hashes.NAME in {file.name, file.suffix[1:]}


def _bundles(path: Path) -> list[Path]:
    return sorted(path.glob(f"*{BUNDLE}")) if path.is_dir() else [path]


def _receipts(data: bytes) -> list[Receipt]:
    try:
        return read_receipts(data.decode("ascii").split("\n"))
    except UnicodeDecodeError as error:
        raise BadInput("receipts are ASCII") from error


def _understood(path: Path, parse: Callable[[bytes], _T]) -> _T:
    try:
        return parse(path.read_bytes())
    except EvidenceError as error:
        raise BadInput(f"{path}: {error}") from error


def _lines(report: Report) -> Iterator[str]:
    yield from map(str, report.findings)
    verdict = {0: "VERIFIED", 1: "WRONG", 3: "INCOMPLETE"}[report.exit_code]
    yield (
        f"{verdict}: {report.origin}: {report.records} records in {report.segments} segments, "
        f"{report.proven_records} of them under {report.checkpoints} trusted checkpoints, "
        f"{report.receipts} receipts borne out; {len(report.wrong)} wrong, "
        f"{len(report.findings) - len(report.wrong)} left open; "
        f"{report.seconds:.2f} s, {report.records_per_second} records/s"
    )


if __name__ == "__main__":
    sys.exit(main())
