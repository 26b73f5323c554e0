"""The local city: real parts started, watched and stopped on one machine, for play and for tests."""
