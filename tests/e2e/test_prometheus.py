"""A real Prometheus on the metrics listener, as an operator would point it there."""

import http.client
import json
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, free_port, pod_manifest, until
from e2e.registry import end

pytestmark = pytest.mark.podman


class Prometheus:
    """One Prometheus that scrapes one daemon every second."""

    def __init__(self, root: Path, target: int) -> None:
        self.port = free_port()
        config = root / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n"
            f"- {{job_name: podsupd, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}\n"
        )
        with (root / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={root / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )

    def query(self, expression: str) -> list[Any]:
        """Return the vector that an instant query gives."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/api/v1/query?query={urllib.parse.quote(expression)}")
            response = connection.getresponse()
            text = response.read()
            # It listens before it has read its storage, and says so in words that are no JSON.
            assert response.status == http.client.OK, text
            answer = json.loads(text)
        finally:
            connection.close()
        assert answer["status"] == "success", answer
        vector: list[Any] = answer["data"]["result"]
        return vector


@pytest.fixture
def ready(daemon: Daemon, name: str) -> Daemon:
    """Run a daemon with one Ready pod."""
    probe = "    readinessProbe: {exec: {command: ['true']}, timeoutSeconds: 5}\n"
    daemon.write("pod.yaml", pod_manifest(name) + probe)
    daemon.start()
    daemon.wait_pod(name)
    return daemon


@pytest.fixture
def prometheus(ready: Daemon, tmp_path: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the daemon."""
    server = Prometheus(tmp_path, ready.metrics_port)
    yield server
    end(server.process)


def test_prometheus_scrapes_and_answers(prometheus: Prometheus, name: str) -> None:
    """The pod's readiness is a query away, and the scrape's every line is accepted."""
    # A scrape that takes longer than its second on a busy machine is a gap: each is looked for until it is there.
    found = until(lambda: prometheus.query("podsupd_pod_ready == 1"), "the pod in Prometheus")
    assert [(s["metric"]["pod"], s["value"][1]) for s in found] == [(name, "1")]
    probes = f'podsupd_probe_total{{pod="{name}",result="successful",probe_type="Readiness"}}'
    for expression in ("up == 1", "podsupd_podman_up == 1", f"{probes} >= 1"):
        until(lambda expression=expression: prometheus.query(expression), expression)


def test_promtool_has_nothing_to_say_about_the_exposition(ready: Daemon) -> None:
    """Names, types and help texts keep to Prometheus' conventions."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=ready.metrics(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
