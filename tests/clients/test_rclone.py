"""Goal: rclone works with provider `Other` and no quirk flag: sync, check, copies, reads.

Method: the released program over a tree of more than 2,000 files; rclone's own `check` by hash
and by download, and a comparison by SHA-256 of what comes back.
"""
import json
import os
import shutil

import pytest

from conftest import new_bucket
from harness import s3 as h
from harness import tree
from harness.commands import rclone_environ, run
from harness.s3 import MIB


@pytest.fixture
def rclone(server):
    environ = rclone_environ(server)

    def call(*arguments, **more):
        return run(["rclone", *arguments], environ, **more)

    return call


@pytest.fixture(scope="module")
def made(session_space):
    at = session_space / "rclone-tree"
    tree.make(at, seed=2)
    yield at, tree.digests(at)
    shutil.rmtree(at, ignore_errors=True)


@pytest.mark.timeout(600)
def test_tree_is_synced_checked_and_downloaded(rclone, bucket, made, space):
    at, want = made
    assert len(want) >= 2000
    rclone("sync", at, f"hf:{bucket}", timeout=400)
    rclone("check", at, f"hf:{bucket}")
    rclone("check", "--download", at, f"hf:{bucket}", timeout=400)
    again = rclone("sync", "-v", at, f"hf:{bucket}")
    assert "Copied" not in again.err, "a second sync has nothing to do"
    size = json.loads(rclone("size", "--json", f"hf:{bucket}").out)
    assert size["count"] == len(want)
    assert size["bytes"] == sum(length for length, _ in want.values())
    rclone("copy", f"hf:{bucket}", space / "back", timeout=400)
    assert tree.differences(want, tree.digests(space / "back")) == []


def test_check_finds_a_difference(rclone, s3, bucket, space):
    (space / "tree").mkdir()
    for name in ("same", "changed"):
        (space / "tree" / name).write_bytes(b"12345678")
    rclone("sync", space / "tree", f"hf:{bucket}")
    rclone("check", space / "tree", f"hf:{bucket}")
    s3.put_object(Bucket=bucket, Key="changed", Body=b"87654321")
    for flags in ((), ("--download",)):
        found = rclone("check", *flags, space / "tree", f"hf:{bucket}", check=False)
        assert found.code != 0 and "changed" in found.err and "1 differences" in found.err


def test_sync_keeps_modification_times(rclone, bucket, space):
    (space / "tree").mkdir()
    (space / "tree/f").write_bytes(b"x")
    os.utime(space / "tree/f", (1_600_000_000, 1_600_000_000))
    rclone("sync", space / "tree", f"hf:{bucket}")
    entry, = json.loads(rclone("lsjson", f"hf:{bucket}").out)
    assert entry["ModTime"].startswith("2020-09-13T12:26:40")


def test_sync_deletes_what_the_source_lost(rclone, s3, bucket, space):
    at = space / "tree"
    tree.make(at, count=30, large=[])
    rclone("sync", at, f"hf:{bucket}")
    (at / "dir 00/sub-0/file-00000").unlink()
    rclone("sync", at, f"hf:{bucket}")
    assert sorted(h.all_keys(s3, bucket)) == sorted(tree.digests(at))


def test_server_side_copy_and_move(rclone, s3, bucket):
    other = new_bucket(s3)
    data = h.body(6 * MIB)
    for key in ("a b/ü+%", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=data)
    rclone("copy", f"hf:{bucket}", f"hf:{other}")
    assert h.get(s3, other, "a b/ü+%") == data
    rclone("moveto", f"hf:{other}/c", f"hf:{other}/d e/f")
    assert h.all_keys(s3, other) == ["a b/ü+%", "d e/f"]
    rclone("purge", f"hf:{other}/d e")
    assert h.all_keys(s3, other) == ["a b/ü+%"]


def test_large_file_is_streamed_in_parts(rclone, s3, bucket, space):
    data = h.body(230 * MIB, seed=4)
    (space / "big").write_bytes(data)
    rclone("copyto", space / "big", f"hf:{bucket}/big")
    assert s3.head_object(Bucket=bucket, Key="big")["ETag"].count("-") == 1
    rclone("check", "--download", space, f"hf:{bucket}", "--include", "big")
    part = rclone("cat", "--offset", "5000000", "--count", "700001", f"hf:{bucket}/big",
                  text=False).out
    assert part == data[5_000_000:5_700_001]


def test_buckets_and_listing(rclone, s3, bucket):
    for key in ("a", "d/b", "d/e/c", "ü/x y", "marker/"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    listed = rclone("lsf", "-R", f"hf:{bucket}").out.splitlines()
    assert set(listed) == {"a", "d/", "d/b", "d/e/", "d/e/c", "ü/", "ü/x y", "marker/"}
    name = "rclone-" + h.sha256(h.body(8))[:12]
    rclone("mkdir", f"hf:{name}")
    assert f"{name}/" in rclone("lsf", "hf:").out.splitlines()
    rclone("rmdir", f"hf:{name}")
    assert f"{name}/" not in rclone("lsf", "hf:").out.splitlines()


def test_public_link_is_a_presigned_url(rclone, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a b", Body=b"linked")
    url = rclone("link", "--expire", "2m", f"hf:{bucket}/a b").out.strip()
    assert run(["curl", "-sSf", url], {}).out == "linked"
