"""Verbs of the registry: what it is asked to do, what it does when something has happened, what it needs."""
