"""Goal: compose.yml means the same to Compose v2 and to docker-compose 1.29; what it names exists.

Method: both read it (v2 by its own library, `tests/packaging/compose-config`); commands and
variables are held against the binary.
"""
import json
import shutil

import pytest
import yaml

import composed
from binary import (COMPOSE, ROLES, assert_command, assert_secrets_by_file, assert_settings,
                    make_secrets)
from harness.commands import run

SERVICES = composed.load()["services"]
HOLDFAST = {name: spec for name, spec in SERVICES.items() if composed.is_holdfast(spec)}


def _old():
    if not shutil.which("docker-compose"):
        pytest.skip("no docker-compose (tests/install says why)")
    done = run(["docker-compose", "version", "--short"], {})
    if not done.out.startswith("1.29."):
        pytest.skip(f"docker-compose here is {done.out.strip()}: 1.29 is not checked")
    return yaml.safe_load(run(["docker-compose", "-f", composed.FILE, "config"], {}).out)


def _new():
    if not shutil.which("compose-config"):
        pytest.skip("no compose-config (tests/install says why)")
    return json.loads(run(["compose-config", composed.FILE], {}).out)


def published(port):
    """Where a port is published: v1 writes it in short, v2 in long."""
    if isinstance(port, dict):
        return f"{port['host_ip']}:{port['published']}:{port['target']}"
    return port.removesuffix("/tcp")


@pytest.mark.parametrize("read", [_old, _new], ids=["docker-compose-1.29", "compose-v2"])
def test_both_read_the_same(read):
    found = read()["services"]
    assert set(found) == set(SERVICES)
    for name, spec in SERVICES.items():
        there = found[name]
        for key in ("image", "command", "environment", "cap_drop", "security_opt", "read_only"):
            assert there.get(key) == spec.get(key), f"{name}: {key}"
        assert there["healthcheck"]["test"] == spec["healthcheck"]["test"], name
        assert {other: how["condition"] for other, how in there.get("depends_on", {}).items()} \
            == {other: how["condition"] for other, how in spec.get("depends_on", {}).items()}, name
        assert [published(port) for port in there.get("ports", [])] == spec.get("ports", []), name
        assert len(there["volumes"]) == len(spec["volumes"]), name


@pytest.mark.parametrize("argv", [("docker-compose", "-f", "FILE", "config"),
                                  ("compose-config", "FILE")], ids=lambda argv: argv[0])
def test_a_reader_refuses_what_is_wrong(argv, tmp_path):
    """Otherwise the test above shows nothing."""
    if not shutil.which(argv[0]):
        pytest.skip(f"no {argv[0]} (tests/install says why)")
    wrong = tmp_path / "compose.yml"
    wrong.write_text(composed.FILE.read_text().replace("cap_drop:", "cap_dorp:"))
    done = run([wrong if word == "FILE" else word for word in argv], {}, check=False)
    assert done.code != 0 and "cap_dorp" in done.err, done


@pytest.mark.parametrize("name", HOLDFAST)
def test_commands_and_settings_are_known(name, tmp_path):
    spec = HOLDFAST[name]
    role = spec["command"][0]
    assert role in ROLES
    assert_command(spec["command"])
    assert_command(spec["healthcheck"]["test"][2:])
    assert_secrets_by_file(spec["environment"])
    secrets = make_secrets(tmp_path / "secrets")
    given = {key: value.replace("/run/secrets", str(tmp_path / "secrets"))
             for key, value in spec["environment"].items()}
    assert_settings(role, given)
    wanted = {value.split("/")[-1] for key, value in spec["environment"].items()
              if key.endswith("_FILE")}
    assert wanted == set(spec["secrets"]) and wanted <= set(secrets)


def test_six_shard_nodes_differ_in_their_names_only():
    nodes = [name for name, spec in HOLDFAST.items() if spec["command"] == ["shard-node"]]
    assert len(nodes) == int(HOLDFAST["gateway"]["environment"]["HOLDFAST_DRIVES"]) == 6
    alike = {json.dumps(HOLDFAST[name], sort_keys=True).replace(name, "N") for name in nodes}
    assert len(alike) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little(name):
    spec = SERVICES[name]
    assert spec["read_only"] is True and spec["cap_drop"] == ["ALL"]
    assert spec["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in spec and "cap_add" not in spec and "user" not in spec
    assert spec["healthcheck"]["test"][0] == "CMD"
    assert ":" in spec["image"] and not spec["image"].endswith(":latest")
    for port in spec.get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{port} is open to others"


def test_what_is_mounted_exists():
    file, mounted = composed.load(), set()
    for name, spec in SERVICES.items():
        for volume in spec["volumes"]:
            source, _, *mode = volume.split(":")
            if source.startswith("./"):
                assert (COMPOSE / source).is_dir(), volume
                assert mode == ["ro"], f"{volume} can be written"
            else:
                mounted.add(source)
    assert mounted == set(file["volumes"]), "each volume is somebody's"
    assert {net for spec in SERVICES.values() for net in spec["networks"]} == set(file["networks"])


def test_all_secrets_are_made_once_and_are_used(tmp_path):
    made = make_secrets(tmp_path / "secrets")
    declared = composed.load()["secrets"]
    assert {name: spec["file"] for name, spec in declared.items()} \
        == {name: f"./secrets/{name}" for name in made}
    assert {name for spec in SERVICES.values() for name in spec.get("secrets", [])} == set(made)
    texts = {name: path.read_text() for name, path in made.items()}
    assert len(set(texts.values())) == len(texts)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in made.values()} == {0o444}
    made["cluster_secret"].unlink()
    again = {name: path.read_text() for name, path in make_secrets(tmp_path / "secrets").items()}
    assert {name for name in texts if again[name] != texts[name]} == {"cluster_secret"}


def test_prometheus_watches_every_process():
    targets = {target for file in (COMPOSE / "prometheus" / "targets").iterdir()
               for group in yaml.safe_load(file.read_text()) for target in group["targets"]}
    ports = {name: spec["environment"].get("HOLDFAST_METRICS_LISTEN",
                                           spec["environment"].get("HOLDFAST_ADMIN_LISTEN"))
             for name, spec in HOLDFAST.items()}
    assert targets == {f"{name}:{listen.split(':')[1]}" for name, listen in ports.items()}


def test_grafana_finds_its_files_and_its_prometheus():
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    there = {target: COMPOSE / source for source, target in mounts.items()
             if source.startswith("./")}
    provisioning = there["/etc/grafana/provisioning"]
    for file in provisioning.glob("dashboards/*.yml"):
        for provider in yaml.safe_load(file.read_text())["providers"]:
            assert list(there[provider["options"]["path"]].glob("*.json")), provider
    for file in provisioning.glob("datasources/*.yml"):
        for source in yaml.safe_load(file.read_text())["datasources"]:
            host, port = source["url"].removeprefix("http://").split(":")
            assert f"--web.listen-address=0.0.0.0:{port}" in SERVICES[host]["command"]
            assert set(SERVICES[host]["networks"]) & set(SERVICES["grafana"]["networks"])


def test_the_file_beside_it_has_every_variable_and_no_other():
    lines = (COMPOSE / ".env").read_text().splitlines()
    there = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert there.pop("COMPOSE_PROJECT_NAME") == "holdfast"
    assert there == composed.variables()
