"""A known set of objects of all kinds, and the ways in which a reader can look at them."""
from . import s3 as h
from .s3 import KIB, MIB

SIZES = [0, 1, 700, 4 * KIB, 60 * KIB, 200 * KIB, MIB - 1, MIB, MIB + 1, 3 * MIB + 5, 9 * MIB + 77]
BIG = 5 * MIB


class Corpus:
    """Objects written through `client`; `check` reads them back in every way."""

    def __init__(self, client, bucket, prefix="c", seed=1, copies=3):
        self.client, self.bucket, self.prefix = client, bucket, prefix
        self.objects, self.etags = {}, {}
        for copy in range(copies):
            for index, size in enumerate(SIZES):
                data = h.body(size, seed=seed * 100 + copy * 20 + index)
                self.put(f"{prefix}/{copy}/{index}", data)
        parts = [h.body(BIG, seed=seed), h.body(BIG + 9, seed=seed + 1), h.body(33, seed=seed + 2)]
        key = f"{prefix}/multipart"
        _, _, answer = h.multipart(client, bucket, key, parts, Metadata={"parts": "3"})
        self.objects[key], self.etags[key] = b"".join(parts), answer["ETag"]

    def put(self, key, data):
        answer = self.client.put_object(Bucket=self.bucket, Key=key, Body=data)
        self.objects[key], self.etags[key] = data, answer["ETag"]

    def check(self, client=None):
        """Every object whole, in ranges, by HEAD and in the listing."""
        client = client or self.client
        for key, data in self.objects.items():
            got = client.get_object(Bucket=self.bucket, Key=key)
            assert got["Body"].read() == data, key
            assert got["ETag"] == self.etags[key], key
        self.check_ranges(client)
        self.check_listing(client)

    def check_ranges(self, client=None):
        client = client or self.client
        for key, data in self.objects.items():
            size = len(data)
            if size < 2:
                continue
            for first, last in {(0, 0), (size - 1, size - 1), (size // 3, size // 2),
                                (max(0, MIB - 5), min(size, MIB + 5) - 1)}:
                if first <= last < size:
                    got = h.get(client, self.bucket, key, Range=f"bytes={first}-{last}")
                    assert got == data[first:last + 1], (key, first, last)

    def check_listing(self, client=None):
        client = client or self.client
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix + "/", PaginationConfig={"PageSize": 7})
        listed = {e["Key"]: (e["Size"], e["ETag"]) for page in pages
                  for e in page.get("Contents", [])}
        assert listed == {k: (len(d), self.etags[k]) for k, d in self.objects.items()}

    def bytes(self):
        return sum(map(len, self.objects.values()))
