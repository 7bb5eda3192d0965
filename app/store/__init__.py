"""MongoDB: the connection, what is asked and how, every read and write."""
