"""Waiting for a condition instead of for a time."""

import time


def wait_until(what: str, seconds: float, condition):
    """Polls until the condition is true and returns its value; TimeoutError names what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)
