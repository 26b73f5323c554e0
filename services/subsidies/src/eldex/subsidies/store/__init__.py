"""The collections of subsidies in MongoDB."""
