"""Running client programs: the aws cli, rclone and holdfast's own commands."""
import os
import subprocess

from .process import environment


class Done:
    """A finished command."""

    def __init__(self, argv, done):
        self.argv, self.code = argv, done.returncode
        self.out, self.err = done.stdout, done.stderr

    def __repr__(self):
        return (f"{' '.join(map(str, self.argv))}\nexit {self.code}\n"
                f"{self.out[-3000:]}\n{self.err[-3000:]}")


def run(argv, env, timeout=280, check=True, cwd=None, text=True):
    """Runs a command; with `check`, it must exit 0."""
    done = subprocess.run([str(a) for a in argv], env=environment(env), cwd=cwd,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, text=text)
    result = Done(argv, done)
    assert not check or result.code == 0, result
    return result


def rclone_environ(server):
    """A remote named `hf:`, with nothing set but what rclone's documentation asks of anyone."""
    return {
        "RCLONE_CONFIG": os.devnull, "RCLONE_CONFIG_HF_TYPE": "s3",
        "RCLONE_CONFIG_HF_PROVIDER": "Other", "RCLONE_CONFIG_HF_ENDPOINT": server.s3_url,
        "RCLONE_CONFIG_HF_ACCESS_KEY_ID": server.access_key,
        "RCLONE_CONFIG_HF_SECRET_ACCESS_KEY": server.secret_key,
        "RCLONE_CONFIG_HF_REGION": server.region, "RCLONE_STATS": "0",
        "RCLONE_RETRIES": "1", "RCLONE_LOW_LEVEL_RETRIES": "1",
    }
