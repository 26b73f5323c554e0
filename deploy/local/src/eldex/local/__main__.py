"""Lets `python -m eldex.local up` do what the console script `eldex-local up` does."""

from eldex.local.cli import main

main()
