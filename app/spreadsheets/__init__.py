"""Documents ↔ files, knowing neither MongoDB access nor HTTP.

documents → `columns.Table` → column-major values → an encoder of `formats/` → `chunks` → bytes,
and walked backwards: a file → `reading` → a reader of `formats/` → `Rows` → `ingest` → records and
the JSON bodies that a model validates; `corrections` and `forms` are the sheets that go with it.
"""
