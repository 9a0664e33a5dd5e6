"""Free TCP ports for processes that must know each other's address before they start."""
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

# Below Linux' ephemeral range, so that no outgoing connection takes a port in between. Each process
# that runs tests keeps a slice to itself while it lives, so that no two of them choose the same.
_LOW, _SLICE, _SLICES = 10_000, 1_000, 20
_given, _kept = set(), []


def _base():
    """The first port of this process' slice; held by a lock that ends with the process."""
    if _kept:
        return _kept[0][0]
    directory = Path(tempfile.gettempdir()) / f"holdfast-test-ports-{os.getuid()}"
    directory.mkdir(exist_ok=True)
    for number in random.sample(range(_SLICES), _SLICES):
        lock = open(directory / str(number), "w", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        _kept.append((_LOW + _SLICE * number, lock))
        return _kept[0][0]
    raise RuntimeError(f"all {_SLICES} slices of ports are in use: {directory}")


def free_port():
    """A port on 127.0.0.1 that nothing listens on and that this process has not given out."""
    base = _base()
    for _ in range(1_000):
        port = base + random.randrange(_SLICE)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError(f"no free port in {base}..{base + _SLICE}")
