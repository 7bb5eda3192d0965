"""A models package of documents that link to few and to many others, for `benchmarks.links`."""
