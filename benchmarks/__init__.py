"""Measurements: Docsheet and its peers in turn, in one run, on the same data; `scripts/bench` runs them."""
