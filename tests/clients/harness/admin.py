"""The admin API, metrics and health pages, over plain HTTP signed the way DESIGN §8 says."""
import re

import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .wait import until

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
UNREACHABLE = (requests.ConnectionError, requests.Timeout)


class Metrics:
    """One scrape: samples by name, with their labels."""

    def __init__(self, text):
        self.text, self.samples = text, []
        for line in text.splitlines():
            found = None if line.startswith("#") else _SAMPLE.match(line)
            if found:
                name, labels, value = found.groups()
                self.samples.append((name, dict(_LABEL.findall(labels or "")), float(value)))

    def names(self):
        return {name for name, _, _ in self.samples}

    def total(self, name, **labels):
        """The sum over all samples of `name` whose labels include `labels`; None without any."""
        values = [v for n, have, v in self.samples
                  if n == name and all(have.get(k) == w for k, w in labels.items())]
        return sum(values) if values else None


class Admin:
    """A client of one gateway's admin listener."""

    def __init__(self, url, access_key, secret_key):
        self.url, self._keys = url.rstrip("/"), Credentials(access_key, secret_key)

    def request(self, method, path, body=b"", sign=True, headers=None, timeout=60):
        """One request; signed with SigV4, service `s3`, unless `sign` is false."""
        request = AWSRequest(method, self.url + path, data=body, headers=dict(headers or {}))
        if sign:
            S3SigV4Auth(self._keys, "s3", "us-east-1").add_auth(request)
        ready = request.prepare()
        return requests.request(method, ready.url, data=body or None,
                                headers=dict(ready.headers), timeout=timeout)

    def json(self, method, path, **more):
        answer = self.request(method, path, **more)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def heal(self):
        return self.json("GET", "/admin/v1/heal")

    def index_check(self):
        return self.json("POST", "/admin/v1/index/check", timeout=240)

    def metrics(self):
        answer = requests.get(self.url + "/metrics", timeout=30)
        assert answer.status_code == 200, answer.text
        return Metrics(answer.text)

    def health(self, which):
        """The status code of /health/`which`; None when nothing answers."""
        try:
            return requests.get(f"{self.url}/health/{which}", timeout=10).status_code
        except UNREACHABLE:
            return None

    def wait_healed(self, seconds=120):
        """Until the heal backlog has been empty twice in a row, by the API and by the metric.

        Twice: work is queued a moment after the loss is noticed.
        """
        seen = []

        def empty():
            backlog = self.heal()["backlog_objects"]
            metric = self.metrics().total("holdfast_heal_backlog_objects")
            seen.append((backlog, metric))
            return len(seen) > 1 and seen[-1] == (0, 0) and seen[-2] == (0, 0)

        until(empty, seconds, "heal backlog empty", pause=0.5)
        return seen

    def assert_index_clean(self):
        report = self.index_check()
        assert report["clean"] is True and report["problems"] == [], report
