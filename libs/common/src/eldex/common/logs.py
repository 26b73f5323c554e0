"""One JSON line per thing that happened; no identity number ever.

Event names are `noun_verbed`, values are keys, the trace ids of the current span are added. What
looks like an identity number is masked in the line as it leaves, whoever wrote it and however deep.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import structlog

from eldex.common import telemetry
from eldex.common.privacy import GAP, masked

# A line of JSON has its line ends and tabs as two characters each.
_SUSPECT = re.compile(rf"\d{{6}}(?:\d{{6}}|(?:\d\d){{0,2}}(?:{GAP}|\\[nrt])+\d\d)")


def _rendered(line: MutableMapping[str, Any]) -> bytes:
    """The line as JSON; wherever in it an identity number may stand, it is looked for and masked."""
    rendered = orjson.dumps(line, default=repr, option=orjson.OPT_NON_STR_KEYS)
    if _SUSPECT.search(rendered.decode()):
        return orjson.dumps(_masked_deep(orjson.loads(rendered)))
    return rendered


def _masked_deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {masked(key): _masked_deep(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked_deep(each) for each in value]
    if isinstance(value, str):
        return masked(value)
    is_number = isinstance(value, int) and masked(str(value)) != str(value)
    return masked(str(value)) if is_number else value


def _finish(_: Any, method: str, line: MutableMapping[str, Any]) -> bytes:
    """All that a line needs, in one step: each step of a chain costs as much as what it does."""
    line["level"] = _LEVELS.get(method, method)
    if trace_id := telemetry.trace_id():
        line["trace_id"], line["span_id"] = trace_id, telemetry.span_id()
    if "exc_info" in line:
        _add_defect(line)
    line["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return _rendered(line)


_LEVELS = {"exception": "error", "warn": "warning"}


def _add_defect(line: MutableMapping[str, Any]) -> None:
    """Replace `exc_info` by the kinds of the errors and where they arose.

    Neither their texts nor the values of variables are kept: a driver's text quotes documents.
    """
    error = line.pop("exc_info")
    chain = []
    while isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames[-12:]]
        chain.append({"kind": type(error).__qualname__, "at": places})
        error = error.__cause__ or error.__context__
    if chain:
        line["defect"] = chain


def configure(service: str, instance: str, level: str = "info") -> None:
    """Set up logging for the process, once, in `main`; the standard library's goes the same way."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[_finish],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    global _logger  # noqa: PLW0603 - the logger of the process
    _logger = structlog.get_logger(service=service, instance=instance)
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[_ToStructlog()], force=True)


class _ToStructlog(logging.Handler):
    """Libraries that use the standard library's logging write the same JSON lines."""

    def emit(self, record: logging.LogRecord) -> None:
        logger().log(
            record.levelno, "library_spoke", logger=record.name, message=record.getMessage()
        )


# One and the same object, because structlog puts a logger together anew for each that is asked for.
_logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def logger() -> structlog.typing.FilteringBoundLogger:
    """The process's logger."""
    return _logger
