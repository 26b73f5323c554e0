"""The operations console: what travels through the city, seen; dead letters, replayed."""
