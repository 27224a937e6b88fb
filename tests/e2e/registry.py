"""A real registry on loopback, and a Podman service of the test's own that trusts it."""

import http.client
import os
import socket
import subprocess
from pathlib import Path

from e2e.harness import free_port, podman, until

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process of the test and reap it."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


class Registry:
    """Debian's docker-registry with a storage of its own; ``stop`` takes it offline, ``start`` brings it back."""

    def __init__(self, root: Path, *, closed: bool = False) -> None:
        """closed: only the user ``team`` with the password ``secret`` may do anything."""
        self._as = ("--creds", "team:secret") if closed else ()
        self.port = free_port()
        self.host = f"localhost:{self.port}"
        self.label = f"pushed-to={self.host}"
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._config = root / "registry.yml"
        self._config.write_text(
            f"""version: 0.1
storage: {{filesystem: {{rootdirectory: {root}/storage}}}}
http: {{addr: "127.0.0.1:{self.port}"}}
"""
        )
        if closed:
            (root / "htpasswd").write_text("team:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n")
            with self._config.open("a") as config:
                config.write(f"auth: {{htpasswd: {{realm: podsupd, path: {root}/htpasswd}}}}\n")
        self.trust = root / "registries.conf"
        self.trust.write_text(f'[[registry]]\nlocation = "{self.host}"\ninsecure = true\n')

    def start(self) -> None:
        """Start it and wait until it listens."""
        with (self._root / "registry.log").open("ab") as log:
            self._process = subprocess.Popen(["docker-registry", "serve", str(self._config)], stdout=log, stderr=log)
        until(lambda: _listens(self.port), "the registry to listen")

    def stop(self) -> None:
        """Take it away."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def build(self, name: str, marker: str) -> str:
        """Build a busybox image with a label and a variable of its own under a name of this host; return its id."""
        recipe = self._root / "Containerfile"
        lines = ("FROM docker.io/library/busybox:latest", f"LABEL {self.label} marker={marker}", f"ENV MARKER={marker}")
        recipe.write_text("\n".join(lines))
        return podman("build", "-q", "--pull=never", "-t", name, "-f", str(recipe), str(self._root))

    def push(self, name: str, marker: str) -> str:
        """Push such an image, keep no local copy, and return its reference."""
        reference, local = f"{self.host}/{name}", f"localhost/made-{name}"
        self.build(local, marker)
        podman("push", "-q", "--tls-verify=false", *self._as, local, f"docker://{reference}")
        podman("rmi", "-f", local)
        return reference

    def move(self, name: str, to: str) -> None:
        """Have tag 1 of a name mean what another tag of it means, as a push of that image would."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/v2/{name}/manifests/{to}", headers={"Accept": MANIFEST})
            manifest = connection.getresponse().read()
            connection.request("PUT", f"/v2/{name}/manifests/1", manifest, {"Content-Type": MANIFEST})
            answer = connection.getresponse()
            assert answer.status == http.client.CREATED, answer.read()
        finally:
            connection.close()


class PodmanService:
    """``podman system service`` on a socket of the test's own, over the host's storage, with an environment."""

    def __init__(self, path: Path, **environment: str) -> None:
        self.url = f"unix://{path}"
        self._path = path
        with (path.parent / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["podman", "system", "service", "--time=0", self.url],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )
        until(self._path.exists, "the service's socket")

    def stop(self) -> None:
        """End it."""
        end(self._process)
