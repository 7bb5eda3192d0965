"""Measurements: Docsheet and its peers in turn, on the same data; `scripts/bench` runs them."""
