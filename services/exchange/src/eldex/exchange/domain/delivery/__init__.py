"""Delivery to partners: what is wanted, when it is tried, in which order, and where to. Pure."""
