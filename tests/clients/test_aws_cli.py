"""Goal: the aws cli with its default settings carries trees and single large files without loss.

Method: the released program over a tree of more than 2,000 files with awkward names; what comes
back is compared by SHA-256. No setting but endpoint and keys.
"""
import json
import shutil

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness import tree
from harness.commands import run
from harness.s3 import MIB


@pytest.fixture
def aws(server):
    """Calls the aws cli; returns its result."""
    environ = server.environ()

    def call(*arguments, settings=None, **more):
        return run(["aws", *arguments], {**environ, **(settings or {})}, **more)

    return call


@pytest.fixture(scope="module")
def made(session_space):
    """The tree of this worker, and what is in it."""
    at = session_space / "aws-tree"
    tree.make(at)
    yield at, tree.digests(at)
    shutil.rmtree(at, ignore_errors=True)


@pytest.mark.timeout(600)
def test_tree_is_synced_up_listed_and_synced_down(aws, s3, bucket, made, space):
    at, want = made
    assert len(want) >= 2000 and max(size for size, _ in want.values()) == 64 * MIB
    aws("s3", "sync", at, f"s3://{bucket}", "--only-show-errors", timeout=400)
    assert sorted(h.all_keys(s3, bucket)) == sorted(want)
    again = aws("s3", "sync", at, f"s3://{bucket}", "--size-only")
    assert again.out.strip() == "", "a second sync has nothing to do"
    summary = aws("s3", "ls", f"s3://{bucket}", "--recursive", "--summarize").out
    assert f"Total Objects: {len(want)}" in summary
    assert f"Total Size: {sum(size for size, _ in want.values())}" in summary
    aws("s3", "sync", f"s3://{bucket}", space / "back", "--only-show-errors", timeout=400)
    assert tree.differences(want, tree.digests(space / "back")) == []


def test_sync_with_delete_follows_the_source(aws, s3, bucket, space):
    at = space / "tree"
    tree.make(at, count=30, large=[])
    aws("s3", "sync", at, f"s3://{bucket}", "--only-show-errors")
    (at / "dir 00/sub-0/file-00000").unlink()
    (at / "dir 01/sub-1/file-00001").write_bytes(b"changed and longer" * 9999)
    (at / "new + file").write_bytes(b"new")
    aws("s3", "sync", at, f"s3://{bucket}", "--delete", "--only-show-errors")
    assert sorted(h.all_keys(s3, bucket)) == sorted(tree.digests(at))
    assert h.get(s3, bucket, "dir 01/sub-1/file-00001") == b"changed and longer" * 9999


def test_rm_recursive_removes_everything_under_a_prefix(aws, s3, bucket):
    for key in ("keep", "go/a", "go/b c", "go/ü+%", "going"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    aws("s3", "rm", f"s3://{bucket}/go/", "--recursive")
    assert h.all_keys(s3, bucket) == ["going", "keep"]


def test_keys_that_no_file_can_have_are_listed_and_removed(aws, s3, bucket):
    keys = ["trailing/", "double//slash", "k" * 1024, "é" * 512, "/leading"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    listed = json.loads(aws("s3api", "list-objects-v2", "--bucket", bucket).out)
    assert sorted(entry["Key"] for entry in listed["Contents"]) == sorted(keys)
    aws("s3", "rm", f"s3://{bucket}", "--recursive")
    assert h.all_keys(s3, bucket) == []


def test_copy_move_and_stream(aws, s3, bucket, space):
    data = h.body(9 * MIB + 5)
    (space / "file").write_bytes(data)
    aws("s3", "cp", space / "file", f"s3://{bucket}/a b/ü+%")
    aws("s3", "cp", f"s3://{bucket}/a b/ü+%", f"s3://{bucket}/copy")
    aws("s3", "mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    assert h.all_keys(s3, bucket) == ["a b/ü+%", "moved"]
    out = aws("s3", "cp", f"s3://{bucket}/moved", "-", text=False).out
    assert out == data
    other = new_bucket(s3)
    aws("s3", "sync", f"s3://{bucket}", f"s3://{other}", "--only-show-errors")
    assert h.get(s3, other, "a b/ü+%") == data


def test_buckets_are_made_and_removed(aws, s3):
    name = "cli-" + h.sha256(h.body(8))[:12]
    aws("s3", "mb", f"s3://{name}")
    assert name in aws("s3", "ls").out
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    refused = aws("s3", "rb", f"s3://{name}", check=False)
    assert refused.code != 0 and "BucketNotEmpty" in refused.err
    aws("s3", "rb", f"s3://{name}", "--force")
    assert name not in aws("s3", "ls").out


def test_presigned_url_is_fetched_with_curl(aws, s3, bucket, space):
    data = h.body(100_000)
    s3.put_object(Bucket=bucket, Key="a b/ü+%.bin", Body=data)
    # In us-east-1 version 1 of the cli presigns with SigV2 unless told otherwise, which S3 refuses
    # for every bucket made since 2020, and Holdfast too (test_signing.py).
    (space / "config").write_text("[default]\ns3 =\n    signature_version = s3v4\n")
    url = aws("s3", "presign", f"s3://{bucket}/a b/ü+%.bin", "--expires-in", "120",
              settings={"AWS_CONFIG_FILE": str(space / "config")}).out.strip()
    assert run(["curl", "-sSf", url], {}, text=False).out == data
    assert run(["curl", "-sSf", "-r", "5-9", url], {}, text=False).out == data[5:10]


def test_errors_are_understood_by_the_cli(aws, bucket):
    failed = aws("s3", "cp", f"s3://{bucket}/none", "-", check=False)
    assert failed.code != 0 and "404" in failed.err
    failed = aws("s3api", "get-object", "--bucket", bucket, "--key", "none", "/dev/null",
                 check=False)
    assert "NoSuchKey" in failed.err
    failed = aws("s3", "ls", "s3://no-such-bucket-anywhere", check=False)
    assert "NoSuchBucket" in failed.err


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksum_algorithms_of_the_cli(aws, bucket, space, algorithm):
    data = h.body(17 * MIB)
    (space / "file").write_bytes(data)
    aws("s3", "cp", space / "file", f"s3://{bucket}/k", "--checksum-algorithm", algorithm)
    aws("s3", "cp", f"s3://{bucket}/k", space / "back", "--checksum-mode", "ENABLED")
    assert (space / "back").read_bytes() == data


@pytest.mark.timeout(600)
def test_one_gibibyte_goes_up_in_parts_and_comes_back(aws, s3, bucket, space):
    size = 1 << 30
    block = h.body(32 * MIB, seed=11)
    with open(space / "big", "wb") as file:
        for number in range(size // len(block)):
            file.write(number.to_bytes(8, "big") + block[8:])
    aws("s3", "cp", space / "big", f"s3://{bucket}/big", "--only-show-errors", timeout=400)
    head = s3.head_object(Bucket=bucket, Key="big", PartNumber=1)
    assert head["PartsCount"] > 1
    with open(space / "big", "rb") as file:
        for start in (0, 8 * MIB - 1, 500 * MIB + 12_345, size - 70_000):
            file.seek(start)
            want = file.read(70_000)
            got = h.get(s3, bucket, "big", Range=f"bytes={start}-{start + len(want) - 1}")
            assert got == want, start
    aws("s3", "cp", f"s3://{bucket}/big", space / "back", "--only-show-errors", timeout=400)
    run(["cmp", space / "big", space / "back"], {})
    s3.delete_object(Bucket=bucket, Key="big")
