"""What a run took and found: the table at its end."""

import contextlib
import time

SECONDS, FOUND = {}, {}


@contextlib.contextmanager
def timed(step):
    began = time.monotonic()
    yield
    SECONDS[step] = SECONDS.get(step, 0) + time.monotonic() - began
