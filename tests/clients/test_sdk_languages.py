"""Goal: the AWS SDKs of other languages do a whole round trip with their default settings.

Method: one small program per language (sdks/README.md) in three phases; what it wrote is looked at
through boto3, what it read is compared here, its presigned URLs are used with curl. A phase that
fails shows the SDK's own error.
"""
import pytest

from harness import s3 as h
from harness import sdks
from harness.commands import run
from harness.s3 import MIB
from harness.server import ROOT

SMALL = b"small, but not empty\n"
AWKWARD = "dir/a b+c/ünï 日本 %2B.txt"
COPY = "copies/kopié + 1"
PAGED = [f"page/{number:02}" for number in range(12)]
RANGE = slice(5_000_000, 5_700_001)
STEPS = {
    "fill": ["create-bucket", "put", "put-in-parts", "copy", "conditional-put"],
    "read": ["list-by-delimiter", "list-pages", "head", "get", "get-range", "presign"],
    "clear": ["delete", "delete-many", "delete-bucket"],
}


def javascript():
    sdks.needed("npm", "npm")
    modules = sdks.cache() / "sdks" / "javascript" / "node_modules"
    assert modules.is_dir(), f"{modules} is missing: tests/install did not make it"
    program = ROOT / "tests/clients/sdks/javascript/roundtrip.cjs"
    return ["node", program], {"NODE_PATH": str(modules)}


def go():
    return [sdks.needed("sdk-go", "Go toolchain")], {}


def java():
    place = sdks.needed_by_flag(sdks.cache() / "sdks" / "java", "the Java SDK")
    return ["java", "-cp", f"{place}/target/roundtrip.jar:{place}/lib/*", "RoundTrip"], {}


def rust():
    return [sdks.needed_by_flag(sdks.cache() / "bin" / "sdk-rust", "the Rust SDK")], {}


@pytest.fixture(params=[javascript, go, java, rust], ids=lambda made: made.__name__)
def program(request, server, space):
    """Runs one phase; checks that every step of it was done, and returns the other lines."""
    argv, environ = request.param()
    # Not all of them read AWS_DEFAULT_REGION.
    environ = {**server.environ(), "AWS_REGION": server.region, **environ}

    def call(phase, bucket):
        done = run([*argv, phase, bucket, space], environ)
        lines = done.out.splitlines()
        assert [line[3:] for line in lines if line.startswith("ok ")] == STEPS[phase], done
        return [line for line in lines if not line.startswith("ok ")]

    return call


def test_round_trip(program, s3, space):
    bucket = "sdk-" + h.sha256(h.body(16))[:20]
    large = h.body(17 * MIB + 3)
    (space / "large").write_bytes(large)

    program("fill", bucket)
    wrote = {"empty": b"", "small.txt": SMALL, AWKWARD: SMALL, COPY: SMALL, "large.bin": large,
             **{key: key.encode() for key in PAGED}}
    assert sorted(h.all_keys(s3, bucket)) == sorted(wrote)
    for key, data in wrote.items():
        assert h.get(s3, bucket, key) == data, key
    head = s3.head_object(Bucket=bucket, Key="large.bin", PartNumber=1)
    assert head["PartsCount"] > 1, "the large one went up in parts"

    urls = dict(line.split(" ", 1) for line in program("read", bucket))
    assert (space / "back").read_bytes() == large
    assert (space / "range").read_bytes() == large[RANGE]
    assert run(["curl", "-sSf", urls["get"]], {}, text=False).out == SMALL
    run(["curl", "-sSf", "--upload-file", space / "range", urls["put"]], {})
    assert h.get(s3, bucket, "presigned") == large[RANGE]

    program("clear", bucket)
    with h.error(status=404):
        s3.head_bucket(Bucket=bucket)
