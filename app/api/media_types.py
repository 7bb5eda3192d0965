"""The media types of requests and answers."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396
PROBLEM = "application/problem+json"  # RFC 9457
