"""python-eve with the rules of our model; PATCH without ETag, regular expressions, no counts.

OPTIMIZE_PAGINATION_FOR_SPEED is what its documentation advises for large collections; without it
every list counts the whole collection, and Eve answers three requests a second.
"""

from eve import Eve

from benchmarks.peers import NAME, URI

text = {"type": "string", "nullable": True}
number = {"type": "integer", "min": 0, "max": 150, "nullable": True}
address = {"type": "dict", "schema": dict.fromkeys(("street", "city", "zipcode", "country"), text)}
profile = {"bio": text, "age": number, "addresses": {"type": "list", "schema": address}}

app = Eve(
    settings={
        "MONGO_URI": URI.replace("/?", f"/{NAME}?"),
        "MONGO_QUERY_BLACKLIST": ["$where"],
        "IF_MATCH": False,
        "OPTIMIZE_PAGINATION_FOR_SPEED": True,
        "PAGINATION_DEFAULT": 10,
        "RESOURCE_METHODS": ["GET", "POST"],
        "ITEM_METHODS": ["GET", "PATCH"],
        "X_DOMAINS": None,
        "RENDERERS": ["eve.render.JSONRenderer"],
        "DOMAIN": {
            "users": {
                "schema": {
                    "name": {"type": "string", "minlength": 1, "maxlength": 200, "required": True},
                    "email": {
                        "type": "string",
                        "regex": r"[^@\s]+@[^@\s]+\.[^@\s]+",
                        "required": True,
                        "unique": True,
                    },
                    "age": number,
                    "profile": {"type": "dict", "nullable": True, "schema": profile},
                }
            }
        },
    }
)
