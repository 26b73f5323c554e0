"""The whole service, of its parts."""

from __future__ import annotations

from eldex.institutions.rpc.beds import BedsPart
from eldex.institutions.rpc.filing import FilingPart
from eldex.institutions.rpc.parameters import ParametersPart
from eldex.institutions.rpc.supervision import SupervisionPart


class InstitutionsService(FilingPart, BedsPart, SupervisionPart, ParametersPart):
    """Answers the calls of institutions."""
