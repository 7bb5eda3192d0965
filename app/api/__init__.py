"""HTTP for any resource: requests in, queries and documents through, responses and problems out."""
