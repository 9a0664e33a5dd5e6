"""Waiting for a condition with a deadline. Nothing here sleeps and hopes."""
import time


class Deadline(AssertionError):
    """The condition did not come true in time; the message says what was seen last."""


def until(condition, seconds, what, pause=0.1, ignore=()):
    """Calls `condition` until it returns something true, and returns that.

    `ignore` names exception types that mean "not yet" (a server that is starting). After `seconds`
    the wait fails with `what` and the last thing seen.
    """
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except ignore as error:
            last = error
        if time.monotonic() >= end:
            raise Deadline(f"{what}: not within {seconds} s; last seen: {last!r}")
        time.sleep(pause)
