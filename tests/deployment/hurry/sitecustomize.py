"""Every interpreter with this folder on its PYTHONPATH sleeps for a moment only.

The AWS CLI and SAM CLI wait for what AWS takes minutes for; so they look at the emulator again at once.
"""

import time

_sleep = time.sleep
time.sleep = lambda seconds: _sleep(min(seconds, 0.1))
