"""What the fork server imports first: a SIGTERM to all processes is for the server alone.

It ends its exports itself, within its grace time; they and the fork server end with it, whatever
happens to it. What Python warns of in the models the server has shown already.
"""

import signal
import warnings

from app.resources.packages import find_packages_here

signal.signal(signal.SIGTERM, signal.SIG_IGN)
warnings.simplefilter("ignore")
find_packages_here()
