"""Writers that note what was acknowledged, and the check of a store against their notes.

Each key belongs to one writer, which does one thing at a time with it. An operation that ended in
an error or without an answer may have taken effect or not; its key is then left alone, and both
outcomes are right. Everything acknowledged must be there, byte for byte.
"""
import random
import threading
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from . import s3 as h

UNKNOWN = (BotoCoreError, HTTPClientError, ClientError)
SIZES = [0, 1, 900, 4_096, 30_000, 200_000, 1 << 20, (1 << 20) + 7, 3_500_000]


@dataclass
class Log:
    """What a key may hold: `None` is "no object", else (length, SHA-256)."""

    acked: dict = field(default_factory=dict)
    doubtful: dict = field(default_factory=dict)
    operations: int = 0
    refused: list = field(default_factory=list)


class Writers:
    """Threads that put, overwrite, delete and upload in parts until told to stop."""

    def __init__(self, make_client, bucket, threads=4, seed=1, round_name="r", sizes=SIZES):
        self.make_client, self.bucket, self.sizes = make_client, bucket, sizes
        self.log, self._lock, self._stop = Log(), threading.Lock(), threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"{round_name}/{n}", seed * 1000 + n),
                             daemon=True)
            for n in range(threads)]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self, seconds=150):
        self._stop.set()
        for thread in self._threads:
            thread.join(seconds)
            assert not thread.is_alive(), "a writer hangs: an operation got no answer"
        return self.log

    def done(self):
        with self._lock:
            return self.log.operations

    def _run(self, prefix, seed):
        chance, client, mine, count = random.Random(seed), self.make_client(), [], 0
        while not self._stop.is_set():
            kind = chance.choices(["new", "over", "delete", "parts"], [6, 3, 2, 1])[0]
            if kind in ("over", "delete") and mine:
                key = chance.choice(mine)
            else:
                key, count = f"{prefix}/{count:04}", count + 1
            body = chance.randbytes(chance.choice(self.sizes))
            after = None if kind == "delete" else (len(body), h.sha256(body))
            try:
                self._do(client, kind, key, body)
            except UNKNOWN as error:
                with self._lock:
                    self.log.doubtful[key] = after
                    self.log.refused.append(f"{kind} {key}: {error}")
                if key in mine:
                    mine.remove(key)
                if self._stop.wait(0.05):
                    return
                continue
            with self._lock:
                self.log.acked[key] = after
                self.log.operations += 1
            if key not in mine:
                mine.append(key)

    def _do(self, client, kind, key, body):
        if kind == "delete":
            client.delete_object(Bucket=self.bucket, Key=key)
        elif kind == "parts":
            h.multipart(client, self.bucket, key, [body])
        else:
            client.put_object(Bucket=self.bucket, Key=key, Body=body)


def found(client, bucket, key):
    """What the store says a key holds."""
    try:
        data = h.get(client, bucket, key)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    return len(data), h.sha256(data)


def problems(client, bucket, logs):
    """Everything that the store says otherwise than the logs allow; empty when all is well."""
    wrong, present = [], set()
    for log in logs:
        for key in {*log.acked, *log.doubtful}:
            allowed = [log.acked.get(key)]
            if key in log.doubtful:
                allowed.append(log.doubtful[key])
            have = found(client, bucket, key)
            if have not in allowed:
                wrong.append(f"{key}: holds {have}, allowed {allowed}")
            if have is not None:
                present.add(key)
    listed = set(h.all_keys(client, bucket))
    wrong += [f"{key}: listed but not readable" for key in sorted(listed - present)]
    wrong += [f"{key}: readable but not listed" for key in sorted(present - listed)]
    return wrong
