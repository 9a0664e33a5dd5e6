"""What the binary says of its commands, flags and settings."""
import json
import re

from harness.commands import run
from harness.server import ROOT, binary

COMPOSE = ROOT / "compose"
INSTALLED = "/usr/local/bin/holdfast"
ROLES = ("server", "gateway", "shard-node")
# Settings that are secrets: they have a variable for a file, and no flag.
SECRETS = {name for name in re.findall(r"`(HOLDFAST_\w+)_FILE`",
                                       (ROOT / "docs" / "configuration.md").read_text())}


def assert_command(argv):
    """`holdfast …` is a whole command, and has each of its flags."""
    words = []
    for word in argv:
        if word.startswith("-"):
            break
        words.append(word)
    done = run([binary(), *words, "--help"], {}, check=False)
    assert done.code == 0, done
    assert words and "Commands:" not in done.out, f"{words} is not a whole command"
    for flag in (word for word in argv if word.startswith("-")):
        assert re.search(rf"(^|\s){re.escape(flag)}\b", done.out), f"{words} has no {flag}"


def assert_settings(role, environment):
    """Each variable is a setting of this role, and none is kept from it."""
    done = run([binary(), "config", "show", "--role", role, "-o", "json"], environment)
    used = {entry["from"] for entry in json.loads(done.out)}
    ours = {name for name in environment if name.startswith("HOLDFAST_")}
    assert ours, f"{role} has no settings"
    assert ours <= used, f"{role} does not have {sorted(ours - used)}"


def assert_secrets_by_file(environment):
    """No secret is a variable."""
    assert SECRETS >= {"HOLDFAST_SECRET_KEY", "HOLDFAST_MASTER_KEY", "HOLDFAST_CLUSTER_SECRET"}
    for name in environment:
        assert name not in SECRETS, f"{name}: give it as a file"


def make_secrets(directory):
    """Secrets as an operator makes them, by name."""
    run([COMPOSE / "make-secrets", directory], {})
    return {path.name: path for path in directory.iterdir()}
