"""What a document class offers: its fields, its options and the resource that they make.

No I/O, no HTTP.
"""
