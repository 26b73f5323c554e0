"""Verbs of credit, one noun a file; `ports` says what they need."""
