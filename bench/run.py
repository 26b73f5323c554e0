"""`make bench`: how fast the house is, measured beside the floor and the tutorial in one run.

A script, so that `python bench/run.py` works from anywhere; what is measured, and how, is told in
`bench/measure.py`.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    runpy.run_module("bench.measure", run_name="__main__")
