"""Goal: what docs/operations/install.md tells to type exists, and its way back from a loss works.

Method: each line of its blocks is held against the repository, the units, Compose and the binary;
the way back is walked with the services of compose.yml. Blocks fenced as `sh`, and commands within
sentences, are for tests/monitoring.
"""
import re
import shlex
import shutil

import pytest

import composed
from binary import COMPOSE, assert_command
from harness.commands import run
from harness.server import ROOT
from units import INSTANCE, UNITS, units

PAGE = (ROOT / "docs" / "operations" / "install.md").read_text()
LINES = [line for block in re.findall(r"^```text\n(.*?)^```", PAGE, re.S | re.M)
         for line in block.splitlines()]
SYSTEM = ("chown", "systemd-sysusers", "cargo")


def test_there_are_lines():
    assert len(LINES) > 20


def unit_exists(name):
    name = re.sub(r"@.*", "@", name)
    assert f"{name}.service" in units(), f"there is no unit {name}"


def compose_command(words):
    """A command of Compose: its flags are asked of docker-compose 1.29, where that is at hand."""
    verb, *rest = words
    if shutil.which("docker-compose"):
        done = run(["docker-compose", verb, "--help"], {})
        for flag in (word for word in rest if word.startswith("--")):
            if flag != "--data-dir":
                assert flag in done.out, f"{verb} has no {flag}"
    inside = [word for word in rest if not word.startswith("-")]
    if inside:
        assert inside[0] in composed.load()["services"]
    if len(inside) > 1:
        argv = rest[rest.index(inside[0]) + 1:]
        assert_command(argv[1:] if verb == "exec" else argv)


@pytest.mark.parametrize("line", LINES)
def test_a_line_names_what_exists(line):
    words = [word for word in shlex.split(line) if word not in ("set", "-a;", "export")]
    if not words[0].isupper() and "=" not in words[0]:
        program, rest = words[0], words[1:]
        if program == "holdfast":
            assert_command(rest)
        elif program == "systemctl":
            for name in (word for word in rest if word.startswith("holdfast")):
                unit_exists(name)
        elif words[:2] == ["docker", "compose"]:
            compose_command(rest[1:])
        elif program == "install":
            source = words[3]
            assert source.startswith("target/") or list(ROOT.glob(source)), source
        elif program == "cd":
            assert (ROOT / rest[0]).is_dir()
        elif program == "compose/make-secrets":
            assert (ROOT / program).exists()
        else:
            assert program in SYSTEM, f"{program} is not known to this test"
        return
    for word in words:
        name, value = word.split("=", 1)
        known = {key for unit in units().values() for key in unit.environment()}
        assert name in known, f"no unit has {name}"
        if value.startswith("/etc/holdfast"):
            assert value in {file for unit in units().values()
                             for file in unit.credentials().values()}, value


def test_places_are_those_of_the_files():
    for unit in units().values():
        data = unit.environment()["HOLDFAST_DATA_DIR"]
        assert f"`{data}" in PAGE, data
        for file in unit.all("EnvironmentFile"):
            assert file.rsplit("/", 1)[1] in PAGE, file
    for volume in ("gateway", "shard-node-1"):
        assert f"`{volume}`" in PAGE and volume in composed.load()["volumes"]
    assert (COMPOSE / "check").exists() and f"shard-node-{INSTANCE}" in PAGE
    assert list(UNITS.glob("holdfast-*.service"))


@pytest.fixture
def lost(tmp_path):
    made = composed.Composed(tmp_path / "composed")
    del made.services["prometheus"]
    try:
        yield made
    except BaseException:
        print(made.logs())
        raise
    finally:
        made.close()


def test_a_lost_gateway_comes_back_from_what_the_page_says_to_keep(lost):
    """Once with what a container has, once with the variables that the page names."""
    lost.start()
    gateway, bodies = lost.services["gateway"], {"a": b"x", "b": b"y" * 200_000}
    s3 = lost.client()
    s3.create_bucket(Bucket="kept")
    for key, body in bodies.items():
        s3.put_object(Bucket="kept", Key=key, Body=body)
    named = {word.split("=")[0] for line in LINES for word in line.split()
             if re.fullmatch(r"HOLDFAST_(CLUSTER|MASTER)\w+_FILE=.*", word)}
    assert len(named) == 2
    # Where it listens is the default, but for the test.
    named |= {"HOLDFAST_ADMIN_LISTEN", "HOLDFAST_NODE_LISTEN"}
    for only in (None, named):
        gateway.stop()
        _lose_all_but_the_layout(gateway.mounts["/var/lib/holdfast"])
        line = next(line for line in LINES if " index rebuild" in line and "docker" in line)
        argv = shlex.split(line)
        gateway.run(argv[argv.index("gateway") + 1:], only)
        gateway.start()
        gateway.wait_healthy()
        for key, body in bodies.items():
            assert lost.client().get_object(Bucket="kept", Key=key)["Body"].read() == body


def _lose_all_but_the_layout(data):
    kept = (data / "cluster.json").read_bytes()
    shutil.rmtree(data)
    data.mkdir()
    (data / "cluster.json").write_bytes(kept)
