"""What every error of this library has in common."""

from __future__ import annotations


class EvidenceError(Exception):
    """Something given to this library is not what it must be; the message says what and where."""
