"""MongoDB: the connection, the embedded database, and every read and write."""
