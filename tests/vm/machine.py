"""A machine under KVM: QEMU as a child of this process, its monitor (QMP), and commands over ssh."""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import free_port
from hosts.host import Host, run_here

BOOT_S = 600.0
"""From QEMU's start to an answer of sshd: a minute of emulation on two cores that nobody else wants."""
READY_S = 600.0
"""From there until the example pod is Ready, emulated."""
TRIAL_S = 30.0
"""For a kernel to begin its first process with KVM."""
MEMORY = "2048"
ACCELERATORS = {
    "kvm": ("-accel", "kvm", "-cpu", "host,arch-capabilities=off"),
    # No AVX, which costs more to emulate than it saves.
    "tcg": ("-accel", "tcg,thread=multi", "-cpu", "Nehalem"),
}
"""KVM, and QEMU's own emulation, some twenty times slower."""


class Machine(Host):
    """Two cores and 2 GiB; made is a directory of tests/hosts/make-vm, folder one of the machine's own.

    disk: the file (qcow2) that it boots from. What the guest did not write through to it is lost in a power cut.
    """

    def __init__(self, made: Path, disk: Path, folder: Path, accelerator: str) -> None:
        self.disk = disk
        self.accelerator = accelerator
        self.folder = folder
        self._made = made
        self._qemu: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self, *options: str, kernel: str = "") -> None:
        """Switch it on. options: more of QEMU's; kernel: more of its command line."""
        self._port = free_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        monitor = self.folder / "qmp"
        monitor.unlink(missing_ok=True)
        with (self.folder / "qemu.log").open("ab") as log:
            self._qemu = subprocess.Popen(
                [
                    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
                    *("-machine", "q35", *ACCELERATORS[self.accelerator], "-smp", "2", "-m", MEMORY),
                    *("-kernel", self._made / "vmlinuz", "-initrd", self._made / "initrd"),
                    *("-append", f"root=/dev/vda rw console=ttyS0 quiet panic=5 mitigations=off {kernel}"),
                    *("-drive", f"file={self.disk},if=virtio,format=qcow2,cache=writeback,discard=unmap"),
                    *("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self._port}-:22"),
                    *("-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"),
                    *("-serial", f"file:{self.folder / 'console.log'}", "-qmp", f"unix:{monitor},server=on,wait=off"),
                    *options,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def boot(self, *options: str, kernel: str = "") -> None:
        """Switch it on, and wait until systemd is done with it."""
        self.start(*options, kernel=kernel)
        self.until_reached()
        self.run("systemctl", "is-system-running", "--wait", check=False, timeout=BOOT_S)

    def until_reached(self) -> None:
        """Wait until it answers, after it was switched on or woken."""
        deadline = time.monotonic() + BOOT_S
        while not self.reached():
            if not self.runs():
                pytest.fail(f"the machine has ended:\n{(self.folder / 'qemu.log').read_text()}{self.console()}")
            if time.monotonic() > deadline:
                pytest.fail(f"the machine does not answer within {BOOT_S} s:\n{self.console()}")
            time.sleep(0.2)

    def runs(self) -> bool:
        """Say whether it is switched on, and QEMU has not given it up."""
        if self._qemu is None or self._qemu.poll() is not None:
            return False
        monitor = self.folder / "qmp"
        return not monitor.exists() or self.monitor("query-status")["status"] != "internal-error"

    def reached(self) -> bool:
        """Say whether it answers now."""
        try:
            return self.enter(["true"], timeout=30).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def console(self) -> str:
        """Return the end of what the kernel and systemd printed."""
        printed = self.folder / "console.log"
        return printed.read_text(errors="replace")[-4000:] if printed.exists() else ""

    def cut_power(self) -> None:
        """Take its power in the middle of whatever it does."""
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None

    def shut_down(self) -> None:
        """Have it go down in order."""
        if self._qemu is not None:
            self.enter(["systemctl", "poweroff"], timeout=60)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._qemu.wait(120)
            self.cut_power()

    def enter(
        self, command: Sequence[str], *, timeout: float, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command over ssh; 255 where it cannot be reached."""
        ssh = [
            *("ssh", "-q", "-i", str(self._made / "key"), "-p", str(self._port), "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=60"),
            *("root@127.0.0.1", "--", shlex.join(command)),
        ]
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(ssh, check=False, capture_output=True, timeout=timeout, **given)

    def get(self, path: str) -> str:
        """Ask the control endpoint. (The command line is a Python of its own, which takes seconds to emulate.)."""
        return self.run(
            "curl", "-sS", "-m", "60", "--unix-socket", "/run/podsupd/podsupd.sock", f"http://podsupd{path}"
        )

    def status(self, pod: str) -> dict[str, Any]:
        """Return the daemon's word on a pod; empty while there is none."""
        quiet = ["curl", "-sf", "--unix-socket", "/run/podsupd/podsupd.sock", f"http://podsupd/v1/pods/{pod}"]
        done = self.enter(quiet, timeout=60)
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return found

    def monitor(self, execute: str) -> Any:
        """Have QEMU's monitor execute a command, and return what it answers."""
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(30)
            channel.connect(str(self.folder / "qmp"))
            lines = channel.makefile("rw")
            lines.readline()  # its greeting
            for command in ("qmp_capabilities", execute):
                lines.write(json.dumps({"execute": command}) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
        if "error" in answer:
            pytest.fail(f"QEMU refused {execute}: {answer['error']}")
        return answer["return"]

    def sleeps(self) -> bool:
        """Say whether the machine is suspended to RAM."""
        return bool(self.monitor("query-status")["status"] == "suspended")

    def sleep(self, seconds: float, first: str = "true") -> None:
        """Suspend it to RAM as its operator would, for so long, and wake it by its power button. first: a script."""
        self.run("sh", "-euc", f"{first}\nsystemctl --no-block suspend", timeout=300)
        self.until("the machine sleeps", self.sleeps)
        time.sleep(seconds)
        self.monitor("system_wakeup")
        self.until_reached()


def overlay(disk: Path, below: Path) -> Path:
    """Make a disk that starts as another one is, and keeps what is written to itself."""
    kind = "raw" if below.suffix == ".raw" else "qcow2"
    run_here("qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", kind, disk)
    return disk


def accelerator(made: Path, folder: Path) -> str:
    """Return kvm where a kernel boots with it, else tcg.

    That /dev/kvm is there says little: a KVM that does without the processor's help runs kernels that were made for it,
    and ends any other with an internal error.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    disk = folder / "trial.qcow2"
    run_here("qemu-img", "create", "-q", "-f", "qcow2", disk, "1M")
    trial = Machine(made, disk, folder / "trial", "kvm")
    deadline = time.monotonic() + TRIAL_S
    try:
        trial.start(kernel="loglevel=7")
        while time.monotonic() < deadline and trial.runs():
            if "Run /init" in trial.console():
                return "kvm"
            time.sleep(0.2)
    finally:
        trial.cut_power()
    return "tcg"
