"""A models package of one document of 60 fields, for the benchmark of many columns."""
