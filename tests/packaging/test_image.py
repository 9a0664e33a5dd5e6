"""Goal: the Dockerfile builds what compose.yml starts, as somebody who may do little.

Method: read as text, held against the binary, the workspace and compose.yml. That an engine builds
it is not shown by this.
"""
import fnmatch
import json
import re
import tomllib

import composed
from binary import COMPOSE, INSTALLED, assert_command
from harness.server import ROOT

IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines()
           if line and not line.startswith("#")]


def stages():
    """The instructions of each stage: (name, rest), continued lines joined."""
    text = re.sub(r"^#.*\n", "", (COMPOSE / "Dockerfile").read_text(), flags=re.M)
    lines = [line.split(None, 1) for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    found = [[]]
    for name, rest in lines:
        if name == "FROM":
            found.append([])
        found[-1].append((name, rest))
    return found


HEAD, BUILD, RUN = stages()


def one(stage, name):
    found = [rest for each, rest in stage if each == name]
    assert len(found) == 1, f"{name}: {found}"
    return found[0]


def is_ignored(path):
    """Whether a path of the repository does not reach the build."""
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return any(fnmatch.fnmatch(each, pattern) or
               (pattern.startswith("**/") and fnmatch.fnmatch(each, pattern[3:]))
               for pattern in IGNORED for each in above)


def test_its_commands_are_known():
    entry = json.loads(one(RUN, "ENTRYPOINT"))
    assert entry == [INSTALLED]
    assert_command(json.loads(one(RUN, "CMD")))
    check = one(RUN, "HEALTHCHECK").split("CMD ", 1)[1]
    program, *argv = json.loads(check)
    assert program == INSTALLED
    assert_command(argv)


def test_it_runs_as_a_user_who_owns_its_data():
    user = one(RUN, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "by number: the image has no names"
    command = json.loads(one(RUN, "CMD"))
    data = command[command.index("--data-dir") + 1]
    copies = [rest for name, rest in RUN if name == "COPY"]
    assert any(f"--chown={user} " in rest and rest.endswith(f" {data}") for rest in copies)
    for name, spec in composed.load()["services"].items():
        if composed.is_holdfast(spec):
            assert spec["environment"]["HOLDFAST_DATA_DIR"] == data
            assert [volume.split(":")[1] for volume in spec["volumes"]] == [data], name


def test_nothing_runs_in_what_is_shipped():
    """It need not have a shell."""
    assert not [rest for name, rest in RUN if name == "RUN"]
    assert all("--from=build" in rest for name, rest in RUN if name == "COPY")
    made = one(BUILD, "RUN")
    for rest in (rest for name, rest in RUN if name == "COPY"):
        assert rest.split()[-2] in made, f"{rest}: it is not made"


def test_it_is_built_by_the_rust_that_is_asked_for():
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    images = dict(rest.split("=") for name, rest in HEAD if name == "ARG")
    assert images["BUILD_IMAGE"].startswith(f"rust:{workspace['package']['rust-version']}-")
    assert "cargo build --release --locked --bin holdfast" in one(BUILD, "RUN")
    built, run = images["BUILD_IMAGE"], images["RUN_IMAGE"]
    # One release of Debian: one C library.
    assert built.endswith("-bookworm") and run == "debian:bookworm-slim"


def test_the_build_sees_the_workspace_and_no_secrets():
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    for path in ["Cargo.toml", "Cargo.lock", *members]:
        manifest = path if path.startswith("Cargo") else f"{path}/Cargo.toml"
        assert (ROOT / manifest).exists() and not is_ignored(manifest), manifest
    for path in ("compose/secrets/master_key", "target/debug/holdfast", ".git/HEAD",
                 "holdfast-data/master.key", ".cache/bin/rclone"):
        assert is_ignored(path), path


def test_compose_builds_it():
    for spec in composed.load()["services"].values():
        if composed.is_holdfast(spec):
            context = (COMPOSE / spec["build"]["context"]).resolve()
            assert context == ROOT and (context / spec["build"]["dockerfile"]).exists()
