"""A process that serves: the server, its workers, uvicorn's protocol, the log."""
