"""Real servers that we start or set up: mongod processes, the embedded database, replica sets."""
