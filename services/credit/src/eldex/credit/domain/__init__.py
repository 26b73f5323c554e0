"""Nouns and rules of credit, one noun a file; pure, and told the time."""
