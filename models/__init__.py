"""One file here is one collection, served under its name with nothing else written.

Declare a `beanie.Document` with its fields; nested models are `pydantic.BaseModel`s.
`class Settings` is Beanie's: `name` is the collection and the path, `indexes` its indexes.
`class Resource` is optional: `search`, `columns`, `sort`, `limit`, `read_only`, `sample`.
The next start of the server finds the file; docs/models.md has every option and field type.
"""
