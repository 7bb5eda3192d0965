"""Documents ↔ files, knowing neither MongoDB access nor HTTP.

documents → `columns.Table` → column-major values → an encoder of `formats/` → `export.chunks` →
bytes
"""
