"""Nouns and rules of the registry: residents, households, relations, eligibility, assessments."""
