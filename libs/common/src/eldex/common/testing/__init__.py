"""For tests of every service: in-memory twins of our own ports, and the suites that prove them."""
