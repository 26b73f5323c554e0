"""Nouns and rules of subsidies: pure Python that knows nobody."""
