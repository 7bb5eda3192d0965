"""The page: browse, search, edit, download and upload documents in a browser.

Templates, static files and words are here; documents come by the same accesses as the API's.
"""
