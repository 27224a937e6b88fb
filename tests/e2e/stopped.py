"""A pod with a container that is to be stopped, and what must be true of it afterwards."""

import os
from pathlib import Path
from typing import Any

from e2e.harness import Daemon, pod_manifest, podman, until

IDLE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


def manifest(
    name: str, out: Path, containers: dict[str, str], *, grace: int = 120, stop: str = "", fields: str = ""
) -> str:
    """Return the manifest of a pod whose containers see ``out``, with a PodPolicy when ``stop`` is given.

    fields: of the first container, besides.
    """
    text = pod_manifest(name, containers=containers, grace=grace)
    text = text.replace("    command:", f"    {fields}\n    command:", 1) if fields else text
    text = text.replace("    command:", "    volumeMounts: [{name: out, mountPath: /out}]\n    command:")
    text = text.replace("  containers:\n", f"  volumes: [{{name: out, hostPath: {{path: {out}}}}}]\n  containers:\n")
    if stop:
        text += f"---\napiVersion: podsupd.io/v1\nkind: PodPolicy\nmetadata: {{name: {name}}}\nspec: {{stop: {stop}}}\n"
    return text


def cgroups_of_ours(container_id: str) -> list[str]:
    """Return the cgroups of podsupd's own that exist for a container, in any hierarchy."""
    return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if f"podsupd-{container_id}" in folder]


def processes_of(container_id: str) -> list[int]:
    """Return the processes that are in a cgroup of the container's or of ours for it."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if container_id in stat.read_text() and "State:\tZ" not in (stat.parent / "status").read_text():
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


class Stopped:
    """A pod whose container ``main`` is to be stopped, and its sibling ``other``."""

    def __init__(self, daemon: Daemon, name: str, out: Path, script: str, **options: Any) -> None:
        self.daemon, self.name, self.out = daemon, name, out
        self.text = manifest(name, out, {"main": script, "other": IDLE}, **options)
        self.path = daemon.write("pod.yaml", self.text)
        daemon.start()
        daemon.wait_pod(name)
        until((out / "up").exists, "the child up")
        self.main, self.other = self.inspect("main"), self.inspect("other")

    def inspect(self, container: str) -> tuple[str, int, str]:
        """Return id, pid and start time of a container."""
        text = podman("inspect", f"{self.name}-{container}", "--format", "{{.Id}} {{.State.Pid}} {{.State.StartedAt}}")
        identity, pid, started = text.split(" ", 2)
        return identity, int(pid), started

    def exit_code(self) -> int:
        """Return the exit code that Podman recorded."""
        return int(podman("inspect", f"{self.name}-main", "--format", "{{.State.ExitCode}}"))

    def stop(self) -> None:
        """Have the container stopped and wait until podsupd says that it is."""
        self.daemon.cli("stop", f"{self.name}/main")

    def assert_clean(self) -> None:
        """None is left, our cgroup is gone, and the sibling lives on."""
        assert processes_of(self.main[0]) == []
        assert cgroups_of_ours(self.main[0]) == []
        assert self.inspect("other") == self.other

    def killed(self) -> float:
        """Return how many processes had to be killed."""
        return self.daemon.metric(f'podsupd_stop_killed_processes_total{{container="main",pod="{self.name}"}}')
