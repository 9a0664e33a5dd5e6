"""Free TCP ports for processes that must know each other's address before they start."""
import os
import random
import socket

# Below Linux' ephemeral range, so that no outgoing connection takes a port in between; each
# pytest worker has a slice of its own, so that two of them never choose the same.
_LOW, _SLICE, _WORKERS = 20_000, 1_000, 12
_given = set()


def free_port():
    """A port on 127.0.0.1 that nothing listens on and that this process has not given out."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    base = _LOW + _SLICE * (int(worker) % _WORKERS)
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
