"""Docsheet: MongoDB documents as a REST API, and as spreadsheets, in and out."""

VERSION = "0.1.0"
