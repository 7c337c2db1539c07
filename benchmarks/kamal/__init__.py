"""Pilotage beside the real Kamal, on the same Docker hosts: see `benchmarks.kamal.__main__`."""
