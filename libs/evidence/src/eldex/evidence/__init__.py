"""The proof of every exchange: a tamper-evident log, and what verifies it trusting nobody's server.

Knows no transport, no database and nothing else of Eldex: an auditor installs this alone.
"""
