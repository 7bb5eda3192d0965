"""What a reader asked, as what MongoDB gets: no I/O, no HTTP; a client's text is a value, never an operator."""
