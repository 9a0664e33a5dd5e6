"""Goal: s3cmd, restic and mc do their round trips with default settings, and understand refusals.

Method: the released programs over small trees with awkward names and one file that goes up in
parts; what comes back is compared by SHA-256. Each is told endpoint, keys and path style only.
"""
import json
import os
import shutil
import time

import pytest

from harness import s3 as h
from harness import sdks, tree
from harness.commands import run
from harness.s3 import MIB
from harness.server import Embedded


def name_of(client):
    return f"{client}-" + h.sha256(h.body(16))[:16]


@pytest.fixture
def files(space):
    """A small tree, and what is in it; an hour old, since times in S3 are whole seconds."""
    at = space / "tree"
    for path in tree.make(at, count=40, large=[17 * MIB + 3]):
        os.utime(at / path, (time.time() - 3600,) * 2)
    return at, tree.digests(at)


def s3cmd_of(server, space):
    address, settings = server.s3_url.split("//")[1], space / f"{server.access_key}.s3cfg"
    settings.write_text(
        f"[default]\naccess_key = {server.access_key}\nsecret_key = {server.secret_key}\n"
        f"host_base = {address}\nhost_bucket = {address}\nuse_https = False\n")
    # It reads and writes names in the locale's encoding.
    environ = {"LC_ALL": "C.UTF-8"}

    def call(*arguments, **more):
        return run(["s3cmd", "-c", settings, "--no-progress", *arguments], environ, **more)

    return call


@pytest.fixture
def s3cmd(server, space):
    return s3cmd_of(server, space)


def test_s3cmd_syncs_a_tree_and_back(s3cmd, s3, files, space):
    at, want = files
    bucket = name_of("s3cmd")
    s3cmd("mb", f"s3://{bucket}")
    s3cmd("sync", f"{at}/", f"s3://{bucket}/")
    assert sorted(h.all_keys(s3, bucket)) == sorted(want)
    again = s3cmd("sync", f"{at}/", f"s3://{bucket}/")
    assert "upload:" not in again.out, "a second sync has nothing to do"
    shown = s3cmd("ls", "--recursive", f"s3://{bucket}").out.splitlines()
    assert len(shown) == len(want)
    (space / "back").mkdir()
    s3cmd("sync", f"s3://{bucket}/", f"{space}/back/")
    assert tree.differences(want, tree.digests(space / "back")) == []
    (at / "dir 00/sub-0/file-00000").unlink()
    s3cmd("sync", "--delete-removed", f"{at}/", f"s3://{bucket}/")
    assert len(h.all_keys(s3, bucket)) == len(want) - 1
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}/")
    assert h.all_keys(s3, bucket) == []
    s3cmd("rb", f"s3://{bucket}")
    assert bucket not in s3cmd("ls").out


def test_s3cmd_puts_gets_copies_and_moves(s3cmd, s3, bucket, space):
    data = h.body(33 * MIB + 1)
    (space / "big").write_bytes(data)
    key = "a b+c/ünï %2B.bin"
    s3cmd("put", "--add-header=x-amz-meta-origin: s3cmd", space / "big", f"s3://{bucket}/{key}")
    head = s3.head_object(Bucket=bucket, Key=key)
    assert head["ETag"].strip('"').endswith("-3"), "parts of 15 MiB, as s3cmd makes them"
    assert head["Metadata"]["origin"] == "s3cmd"
    info = s3cmd("info", f"s3://{bucket}/{key}").out
    assert f"File size: {len(data)}" in info and "origin: s3cmd" in info
    (space / "empty").write_bytes(b"")
    s3cmd("put", space / "empty", f"s3://{bucket}/empty")
    s3cmd("cp", f"s3://{bucket}/{key}", f"s3://{bucket}/copy")
    s3cmd("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved ü")
    assert sorted(h.all_keys(s3, bucket)) == sorted([key, "empty", "moved ü"])
    s3cmd("get", f"s3://{bucket}/moved ü", space / "back")
    assert (space / "back").read_bytes() == data
    s3cmd("setversioning", f"s3://{bucket}", "enable")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    s3cmd("del", f"s3://{bucket}/empty")
    assert "empty" not in h.all_keys(s3, bucket)
    s3cmd("expire", "--expiry-days=30", "--expiry-prefix=log/", f"s3://{bucket}")
    rule, = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["Expiration"] == {"Days": 30}
    assert "log/" in s3cmd("getlifecycle", f"s3://{bucket}").out


def test_s3cmd_lists_and_deletes_more_than_a_page(s3cmd, s3, bucket):
    keys = h.put_more_than_a_page(s3, bucket)
    shown = s3cmd("ls", "--recursive", f"s3://{bucket}").out.splitlines()
    assert [line.split(f"s3://{bucket}/")[1] for line in shown] == keys
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}/many/")
    assert h.all_keys(s3, bucket) == []


def test_s3cmd_signs_urls_by_version_2_which_is_for_the_operator_to_allow(
        s3cmd, own_server, s3, bucket, space):
    s3.put_object(Bucket=bucket, Key="a b+ü", Body=b"signed")
    url = s3cmd("signurl", f"s3://{bucket}/a b+ü", "+300").out.strip()
    assert "Please use AWS4-HMAC-SHA256" in run(["curl", "-sS", url], {}).out, "as S3 answers"
    lenient = own_server(Embedded, args=["--sigv2", "true"])
    client = lenient.client()
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="a b+ü", Body=b"signed")
    url = s3cmd_of(lenient, space)("signurl", f"s3://{bucket}/a b+ü", "+300").out.strip()
    assert run(["curl", "-sSf", url], {}).out == "signed"


def test_s3cmd_understands_errors(s3cmd, bucket, space):
    refused = s3cmd("get", f"s3://{bucket}/none", space / "none", check=False)
    assert refused.code == 64 and "does not exist" in refused.err, refused
    refused = s3cmd("ls", "s3://no-such-bucket-anywhere", check=False)
    assert refused.code == 12 and "NoSuchBucket" in refused.err, refused


@pytest.fixture
def restic(server, space):
    sdks.needed("restic", "restic")
    environ = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key,
               "RESTIC_PASSWORD": "only for this test", "RESTIC_PROGRESS_FPS": "0",
               "RESTIC_REPOSITORY": f"s3:{server.s3_url}/{name_of('restic')}/repository"}

    def call(*arguments, **more):
        return run(["restic", "--cache-dir", space / "cache", *arguments], environ, **more)

    call.bucket = environ["RESTIC_REPOSITORY"].split("/")[-2]
    return call


def test_restic_backs_up_checks_restores_and_prunes(restic, s3, files, space):
    at, want = files
    restic("init")
    restic("backup", ".", cwd=at)
    restic("check", "--read-data")
    (at / "dir 00/sub-0/file-00000").unlink()
    (at / "new + ü").write_bytes(h.body(9 * MIB))
    restic("backup", ".", cwd=at)
    first, _ = json.loads(restic("snapshots", "--json").out)
    restic("restore", first["id"], "--target", space / "first")
    assert tree.differences(want, tree.digests(space / "first")) == []
    before = sum(e["Size"] for e in s3.list_objects_v2(Bucket=restic.bucket)["Contents"])
    shutil.rmtree(at / "large")
    restic("backup", ".", cwd=at)
    restic("forget", "--keep-last", "1", "--prune", "--max-unused", "0")
    after = sum(e["Size"] for e in s3.list_objects_v2(Bucket=restic.bucket)["Contents"])
    assert after < before - 17 * MIB, "what nothing refers to is gone from the bucket"
    restic("check", "--read-data")
    restic("restore", "latest", "--target", space / "last")
    assert tree.differences(tree.digests(at), tree.digests(space / "last")) == []
    assert len(json.loads(restic("snapshots", "--json").out)) == 1
    refused = restic("init", check=False)
    assert refused.code != 0 and "already" in refused.err, refused


@pytest.fixture
def mc(server, space):
    program = sdks.needed_by_flag(sdks.cache() / "bin" / "mc", "mc")

    def call(*arguments, **more):
        return run([program, "--config-dir", space / "mc", "--json", *arguments], {}, **more)

    call("alias", "set", "hf", server.s3_url, server.access_key, server.secret_key)
    return call


def lines(done):
    """What mc answered: one JSON object after the other."""
    return [json.loads(line) for line in done.out.splitlines()]


def test_mc_mirrors_compares_and_removes(mc, s3, files, space):
    at, want = files
    bucket = name_of("mc")
    mc("mb", f"hf/{bucket}")
    mc("mirror", at, f"hf/{bucket}")
    assert sorted(h.all_keys(s3, bucket)) == sorted(want)
    assert lines(mc("diff", at, f"hf/{bucket}")) == []
    mc("mirror", f"hf/{bucket}", space / "back")
    assert tree.differences(want, tree.digests(space / "back")) == []
    (at / "dir 00/sub-0/file-00000").unlink()
    assert len(lines(mc("diff", at, f"hf/{bucket}"))) == 1
    mc("mirror", "--remove", at, f"hf/{bucket}")
    assert len(h.all_keys(s3, bucket)) == len(want) - 1
    assert len(lines(mc("ls", "--recursive", f"hf/{bucket}"))) == len(want) - 1
    assert lines(mc("du", f"hf/{bucket}"))[-1]["objects"] == len(want) - 1
    mc("rm", "--recursive", "--force", f"hf/{bucket}")
    assert h.all_keys(s3, bucket) == []
    mc("rb", f"hf/{bucket}")
    assert bucket not in mc("ls", "hf").out


def test_mc_copies_versions_and_signs(mc, s3, bucket, space):
    data = h.body(17 * MIB + 3)
    (space / "big").write_bytes(data)
    key = "a b+c/ünï %2B.bin"
    mc("version", "enable", f"hf/{bucket}")
    mc("cp", "--attr", "origin=mc", space / "big", f"hf/{bucket}/{key}")
    assert s3.head_object(Bucket=bucket, Key=key)["ETag"].count("-") == 1, "it went up in parts"
    stat, = lines(mc("stat", f"hf/{bucket}/{key}"))
    assert stat["size"] == len(data) and stat["metadata"]["X-Amz-Meta-Origin"] == "mc"
    mc("cp", f"hf/{bucket}/{key}", f"hf/{bucket}/copy")
    assert run_cat(mc, f"hf/{bucket}/copy") == data
    (space / "small").write_bytes(b"second")
    mc("cp", space / "small", f"hf/{bucket}/{key}")
    versions = lines(mc("ls", "--versions", f"hf/{bucket}/{key}"))
    assert len(versions) == 2
    old = next(v["versionId"] for v in versions if v["size"] == len(data))
    assert run_cat(mc, "--version-id", old, f"hf/{bucket}/{key}") == data
    mc("rm", f"hf/{bucket}/{key}")
    assert h.all_keys(s3, bucket) == ["copy"]
    mc("undo", "--force", f"hf/{bucket}/{key}")
    assert run_cat(mc, f"hf/{bucket}/{key}") == b"second"
    share, = lines(mc("share", "download", "--expire", "5m", f"hf/{bucket}/{key}"))
    assert run(["curl", "-sSf", share["share"]], {}, text=False).out == b"second"
    share, = lines(mc("share", "upload", "--expire", "5m", f"hf/{bucket}/form"))
    run(["bash", "-c", share["share"].replace("curl", "curl -sSf").replace("<FILE>", "small")], {},
        cwd=space)
    assert h.get(s3, bucket, "form") == b"second"
    mc("tag", "set", f"hf/{bucket}/{key}", "a=1&b=2")
    assert lines(mc("tag", "list", f"hf/{bucket}/{key}"))[0]["tagset"] == {"a": "1", "b": "2"}
    mc("rm", "--recursive", "--versions", "--force", f"hf/{bucket}")
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)
    refused = mc("stat", f"hf/{bucket}/none", check=False)
    assert refused.code != 0 and "Object does not exist" in refused.out, refused


def test_mc_lists_and_deletes_more_than_a_page(mc, s3, bucket):
    keys = h.put_more_than_a_page(s3, bucket)
    shown = lines(mc("ls", "--recursive", f"hf/{bucket}"))
    assert [entry["key"] for entry in shown] == keys
    mc("rm", "--recursive", "--force", f"hf/{bucket}/many/")
    assert h.all_keys(s3, bucket) == []


def test_mc_lists_and_changes_lifecycle_rules(mc, s3, bucket):
    mc("ilm", "rule", "add", "--prefix", "log/", "--expire-days", "30", f"hf/{bucket}")
    rule, = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["Expiration"] == {"Days": 30} and rule["Filter"] == {"Prefix": "log/"}
    shown, = lines(mc("ilm", "rule", "ls", f"hf/{bucket}"))
    assert [each["ID"] for each in shown["config"]["Rules"]] == [rule["ID"]]
    mc("ilm", "rule", "rm", "--id", rule["ID"], f"hf/{bucket}")
    with h.error("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


def run_cat(mc, *arguments):
    return mc("cat", *arguments, text=False).out
