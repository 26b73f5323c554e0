"""The registry with its observability taken out: no spans, no metrics, no line per call.

Only for the denominator of `observability_on_over_off`. Spans are off by OpenTelemetry's own
switch (`OTEL_SDK_DISABLED`), lines by `ELDEX_LOG_LEVEL`; metrics have no switch, so the three kinds
of metric are made to do nothing here.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from eldex.registry.main import main


def _itself(metric: Any, *_: object) -> Any:
    return metric


def _nothing(*_: object) -> None:
    return None


def take_out_metrics() -> None:
    """Have every metric count nothing."""
    for kind in (Counter, Gauge, Histogram):
        kind.labels = _itself  # type: ignore[assignment,method-assign]
    Counter.inc = _nothing  # type: ignore[assignment,method-assign]
    Gauge.set = _nothing  # type: ignore[assignment,method-assign]
    Histogram.observe = _nothing  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    take_out_metrics()
    main()
