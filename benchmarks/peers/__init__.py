"""The peers' servers, small, as their documentation writes them; set by BENCH_URI and BENCH_DB."""

import os

URI = os.environ.get("BENCH_URI", "mongodb://127.0.0.1:27017/")
NAME = os.environ.get("BENCH_DB", "users_1000000")
