"""What a reader asked, as what MongoDB gets: no I/O, no HTTP.

A client's text is a value, never an operator.
"""
