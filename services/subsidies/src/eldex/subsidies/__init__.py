"""Subsidies: who is entitled to what, why, from when to when, and what was paid."""
