"""A running export: its process, the bytes that come out of it, and the record of how it ended."""
