"""An unprivileged user of this machine with a Podman of its own, and the daemon as that user runs it."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from e2e.harness import Daemon, until

REPO = Path(__file__).parents[2]

# A mount namespace as a user's session has it on a machine of its own: a tun device that everybody may open, as udev
# makes it, and what these tests run from even where that lies in root's home.
SESSION = """
mount -t tmpfs -o mode=755 tmpfs /mnt
mount -t tmpfs -o mode=755 tmpfs /dev/net
mknod -m 666 /dev/net/tun c 10 200
n=0
for path; do n=$((n + 1)); mkdir /mnt/$n; mount --bind "$path" /mnt/$n; done
mount -t tmpfs -o mode=755 tmpfs /root
n=0
for path; do n=$((n + 1)); mkdir -p "$path"; mount --move /mnt/$n "$path"; done
echo made
exec sleep infinity
"""


class User:
    """A user with a home, a runtime directory, subordinate ids and a session."""

    def __init__(self, name: str) -> None:
        self.name = name
        subprocess.run(["useradd", "--create-home", name], check=True)
        account = pwd.getpwnam(name)
        self.uid, self.home = account.pw_uid, Path(account.pw_dir)
        self.run_dir = Path(tempfile.mkdtemp(prefix="podsupd-t", dir="/run"))
        os.chown(self.run_dir, self.uid, self.uid)
        self._session = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        used = (sys.base_prefix, str(REPO), sys.prefix)
        hidden = [path for path in used if path.startswith("/root/")]
        session = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-euc", SESSION, "session", *hidden],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert session.stdout is not None
        assert session.stdout.readline() == b"made\n", "the session was not made"
        return session

    def command(self, *command: str | Path) -> list[str]:
        """Return what runs a command as this user; run it with ``environment``, in /."""
        identity = [f"--reuid={self.uid}", f"--regid={self.uid}", "--init-groups"]
        rights = ["--inh-caps=-all", "--ambient-caps=-all"]
        inside = ["nsenter", f"--mount=/proc/{self._session.pid}/ns/mnt", "--wd=/"]
        return [*inside, "setpriv", *identity, *rights, *map(str, command)]

    @property
    def environment(self) -> dict[str, str]:
        """Return what this user's environment is."""
        home, run_dir = str(self.home), str(self.run_dir)
        return {"PATH": os.environ["PATH"], "HOME": home, "XDG_RUNTIME_DIR": run_dir, "PYTHONPATH": str(REPO)}

    def run(self, *command: str | Path) -> str:
        """Run a command as this user; return what it printed."""
        done = subprocess.run(
            self.command(*command),
            env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def load(self, archive: Path) -> None:
        """Give this user's Podman the images of an archive."""
        own = shutil.copy(archive, self.home / "images.tar")
        Path(own).chmod(0o644)
        self.run("podman", "load", "--quiet", "--input", own)

    def directory(self, path: Path) -> Path:
        """Make a directory of this user's."""
        self.run("mkdir", "-p", path)
        return path

    def processes(self) -> dict[int, str]:
        """Return the user's living processes: PID and command line."""
        lines = subprocess.run(["ps", "-eo", "pid=,uid=,args="], capture_output=True, text=True, check=True).stdout
        found = (line.split(maxsplit=2) for line in lines.splitlines())
        return {int(pid): args for pid, uid, args in found if int(uid) == self.uid and "<defunct>" not in args}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the user, with all that runs as it and all that it has."""
        subprocess.run(
            self.command("podman", "pod", "rm", "--all", "--force", "--time=0"),
            env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=300,
        )  # fmt: skip
        self._session.kill()
        self._session.wait()
        until(self._killed, f"the end of the processes of {self.name}")
        if self._session.stdout is not None:
            self._session.stdout.close()
        subprocess.run(["userdel", "--remove", "--force", self.name], check=True, capture_output=True)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def _killed(self) -> bool:
        """Kill whoever runs as this user; say whether nobody does. Podman's own pause process lives until a log-out."""
        left = self.processes()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left


class UserDaemon(Daemon):
    """podsupd as an unprivileged user runs it, on the Podman that it finds for itself."""

    def __init__(self, user: User, *, settings: str = "") -> None:
        root = user.directory(user.run_dir / "daemon")
        super().__init__(root, settings=settings, podman_url="", user=user.command(), environment=user.environment)
        self._user = user
        shutil.chown(self.manifests, user.uid, user.uid)

    def write(self, name: str, text: str) -> Path:
        """Put a manifest in place as its user does."""
        path = super().write(name, text)
        shutil.chown(path, self._user.uid, self._user.uid)
        return path
