"""A stop that reaches everyone, by the hardened unit, on a host where systemd manages the containers' cgroups."""

from typing import Any

import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: leaves}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 120
  volumes: [{name: out, hostPath: {path: /var/tmp/leaves, type: DirectoryOrCreate}}]
  containers:
  - name: main
    image: docker.io/library/busybox:latest
    imagePullPolicy: IfNotPresent
    volumeMounts: [{name: out, mountPath: /out}]
    command:
    - sh
    - -c
    - |
      sh -c 'trap "until test -e /out/go; do sleep 0.1; done; echo done > /out/child; exit 0" TERM
        echo up > /out/up; while :; do sleep 0.1; done' &
      trap 'exit 3' TERM
      while :; do sleep 0.1; done
"""


def test_a_child_that_cleans_up_is_waited_for_under_systemd(host: Any) -> None:
    """The unit's sandbox and systemd's hand on the cgroups, also while it reloads, leave the child its time."""
    host.write("leaves.yaml", POD)
    try:
        host.until("the child is up", lambda: host.succeeds("test", "-e", "/var/tmp/leaves/up"))
        host.until("the pod is Ready", lambda: host.ready("leaves"))
        host.run("sh", "-c", "podsupd stop leaves/main > /dev/null 2>&1 &")
        host.until("the first process ended", lambda: not host.inspect("leaves-main")[0]["State"]["Running"])
        ours = host.shelters()
        assert len(ours) == 1
        unit = ours[0].rpartition("/")[2]
        inside = host.run("cat", f"{ours[0]}/cgroup.procs").split()
        assert inside
        # systemd knows it, so that nothing that it does to itself takes it away.
        known = host.show(unit, "ActiveState", "Delegate")
        assert known == {"ActiveState": "active", "Delegate": "yes"}
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "daemon-reexec")
        assert set(inside) & set(host.run("cat", f"{ours[0]}/cgroup.procs").split())
        host.run("touch", "/var/tmp/leaves/go")
        host.until("the stop ended", lambda: host.stopped("podsupd", "events", "leaves"))
        assert host.run("cat", "/var/tmp/leaves/child") == "done\n"
        assert host.inspect("leaves-main")[0]["State"]["ExitCode"] == 3
        events = host.run("podsupd", "events", "leaves")
        assert "StopDegraded" not in events
        assert "Killed" not in events
        assert not host.succeeds("test", "-e", ours[0])
        assert "podsupd-" not in host.run("systemctl", "list-units", "--all", "--type=scope", "--plain")
    finally:
        host.remove("leaves.yaml")
        host.until("the pod is gone", lambda: not host.succeeds("podman", "pod", "exists", "leaves"))
