"""The README's quick start as commands.

Convention, kept by the README: the section's heading says "quick start" or "sixty seconds"; blocks
fenced as `sh` hold commands only; output is shown in blocks of any other kind. The first command
that starts the server runs in the foreground there, and beside the others here. Lines that export
keys repeat what the server prints, so here the printed ones are taken.
"""
import re

HEADING = re.compile(r"^(#+)\s.*(quick[ -]?start|sixty seconds|60 seconds)", re.I | re.M)
SERVER = re.compile(r"^\s*cargo run --release(\s|$)")
# What has happened already when this test runs, or is done by the test itself.
DONE = re.compile(r"^\s*(git clone\s|cd\s|export (AWS|HOLDFAST)_\w*(ACCESS|SECRET)\w*=)")


class NoQuickStart(AssertionError):
    """The README has no quick start that can be executed."""


def section(text):
    """The quick start's text, up to the next heading of its level or above."""
    found = HEADING.search(text)
    if not found:
        raise NoQuickStart("README.md has no heading with 'quick start' or 'sixty seconds'")
    rest = text[found.end():]
    # Comments in fenced blocks start with '#', too: only look for headings outside of them.
    lines, fenced = [], False
    for line in rest.splitlines():
        fenced ^= line.startswith("```")
        heading = None if fenced else re.match(r"(#+)\s", line)
        if heading and len(heading.group(1)) <= len(found.group(1)):
            break
        lines.append(line)
    return "\n".join(lines)


def commands(text):
    """(server arguments, client script) of the quick start."""
    blocks = re.findall(r"^```(?:sh|bash|shell)\n(.*?)^```", section(text), re.S | re.M)
    if not blocks:
        raise NoQuickStart("the quick start has no block fenced as ```sh")
    server, script = None, []
    for line in "".join(blocks).splitlines():
        if SERVER.match(line) and server is None:
            rest = line.split("#")[0].strip().removeprefix("cargo run --release").strip()
            server = rest.removeprefix("--").split()
        elif not DONE.match(line):
            script.append(line)
    if server is None:
        raise NoQuickStart("the quick start has no `cargo run --release`")
    return server, "\n".join(script)
