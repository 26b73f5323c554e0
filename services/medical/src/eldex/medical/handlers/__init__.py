"""The verbs of medical insurance, and the ports they need."""
