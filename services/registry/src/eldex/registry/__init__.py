"""Who a resident is, where they live, and whether they live."""
