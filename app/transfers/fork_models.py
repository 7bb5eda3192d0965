"""What the fork server imports last: it reads the models' declarations, so that no child does.

That is 30 ms and 10 MiB of memory that a child need not have for itself. A child that has more
folders to import from than this process reads those that can't be read here.
"""

import os
from contextlib import suppress

from app.errors import DeclarationError
from app.transfers.forking import MODELS
from app.transfers.import_work import read_resources

if MODELS in os.environ:
    with suppress(DeclarationError):
        read_resources(os.environ[MODELS])
