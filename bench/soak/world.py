"""The daemon, its own Podman API, its files and the pods beside it, and how each accident is brought about."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from bench.daemon import Daemon
from bench.manifests import IMAGE, SLEEP, write_text
from bench.podman_command import podman
from bench.podman_service import PodmanService
from bench.rows import Options
from bench.soak.files import CONFIG_KEY, Version
from bench.soak.sequence import CONFIG, Kind, Sequence, Step
from bench.soak.usage import HISTORY_MB
from bench.soak.witness import Life, Witness

HANG_ENDS_S = 5.0
"""The daemon's time-out of a request: short, so that a Podman that hangs is noticed within an accident or two."""

_SPOILS = {"empty": "", "half": "apiVersion: v1\nkind: Pod\nmetadata: {name: ", "unknown field": "kind: Pod\nnope: 1\n"}


class World:
    """What a soak stands on, in one directory; leaves nothing behind but that directory."""

    def __init__(self, options: Options, directory: Path, sequence: Sequence) -> None:
        self.sequence = sequence
        self.prefix = options.prefix
        self.directory = directory
        self.witness = Witness(options.url, options.prefix)
        self.service = PodmanService(directory / "podman.sock")
        self.daemon = Daemon(
            replace(options, url=self.service.url),
            directory,
            PODSUPD_STATE__MAX_MB=str(HISTORY_MB),
            PODSUPD_PODMAN__REQUEST_TIMEOUT_S=str(HANG_ENDS_S),
            PODSUPD_MANIFESTS__RESCAN_INTERVAL_S="2",
        )
        self._comings_and_goings: dict[Kind, Callable[[], object]] = {
            Kind.PODMAN_DIES: self.service.kill,
            Kind.PODMAN_RETURNS: self.service.start,
            Kind.DAEMON_DIES: self.daemon.kill,
            Kind.DAEMON_ENDS: self.daemon.stop,
            Kind.DAEMON_RETURNS: self.daemon.start,
        }
        self.config_map = f"{options.prefix}-{CONFIG}"
        self.still = f"{options.prefix}-still"
        self.foreign, self.alone = f"{options.prefix}-foreign", f"{options.prefix}-alone"
        self.began = time.monotonic()
        self._log = (directory / "actions.jsonl").open("a", buffering=1)

    def begin(self) -> None:
        """Make the strangers and the files, and start Podman's API and the daemon."""
        podman("pod", "create", "--name", self.foreign, "--share", "net,pid")
        podman("run", "-d", "--pod", self.foreign, "--name", f"{self.foreign}-c0", IMAGE, *SLEEP)
        podman("run", "-d", "--name", self.alone, IMAGE, *SLEEP)
        for pod, file in {**self.sequence.pods, self.still: None}.items():
            self._put(pod, (file.said if file else None) or Version())
        self._put_word()
        self.service.start()
        self.daemon.start()

    def end(self) -> None:
        """End the daemon and remove all that carries the prefix."""
        self._log.close()
        try:
            self.daemon.stop()
        finally:
            self.service.kill()
            for pod in self.witness.pods():
                _podman("pod", "rm", "-f", "-t", "0", pod)
            for line in self.witness.containers():
                _podman("rm", "-f", "-t", "0", line["Id"])

    def note(self, line: str, **data: Any) -> None:
        """Write a line to the log of actions."""
        self._log.write(json.dumps({"at": round(time.monotonic() - self.began, 2), "line": line, **data}) + "\n")

    def untouched(self) -> dict[str, Life]:
        """Return the lives of what nobody may touch: the strangers, and the pod whose file never changes."""
        alone = self.witness.inspect(self.alone)
        return {
            **self.witness.look(self.foreign).lives,
            **self.witness.look(self.still).lives,
            self.alone: (alone["Id"], alone["State"]["StartedAt"], alone["State"]["Pid"]),
        }

    # -- accidents

    def carry_out(self, step: Step) -> None:
        """Bring one accident about, and pause. What there is nothing of to hurt is noted as such."""
        try:
            result = self._do(step)
        except (LookupError, ProcessLookupError) as error:
            result = f"nothing to do it to: {error}"
        self.note("step", **asdict(step), result=result or "")
        time.sleep(step.pause_s)

    def _do(self, step: Step) -> str | None:
        pod = step.what
        match step.kind:
            case Kind.EDIT | Kind.RESTORE:
                self._put(pod, self._said(pod))
            case Kind.COPY:
                self._copy(pod, self._said(pod))
            case Kind.WORD:
                self._put_word()
            case Kind.SPOIL:
                self._path(pod).write_text(_SPOILS[step.detail])
            case Kind.REMOVE:
                self._path(pod).unlink()
            case Kind.KILL:
                os.kill(_pid(self.witness.inspect(f"{pod}-{step.detail}")), signal.SIGKILL)
            case Kind.KILL_INFRA:
                os.kill(_pid(self.witness.look(pod).infra), signal.SIGKILL)
            case Kind.STOP_BY_HAND:
                return _podman(*step.detail.split())
            case Kind.REMOVE_BY_HAND:
                return _podman("pod", "rm", "-f", "-t", "1", pod)
            case Kind.RESTART:
                return str(self.daemon.request("POST", f"/v1/pods/{pod}/restart")[0])
            case Kind.PODMAN_HANGS:
                self.service.hang(float(step.detail))
            case _:
                self._comings_and_goings[step.kind]()
        return None

    # -- files

    def _said(self, pod: str) -> Version:
        version = self.sequence.pods[pod].said
        assert version is not None
        return version

    def _path(self, name: str) -> Path:
        return self.daemon.manifests / f"{name}.yaml"

    def _text(self, pod: str, version: Version) -> str:
        return yaml.safe_dump_all(version.manifest(pod, self.config_map), sort_keys=False)

    def _put(self, pod: str, version: Version) -> None:
        write_text(self._path(pod), self._text(pod, version))

    def _copy(self, pod: str, version: Version) -> None:
        """Write as a program does that opens the file for each piece: every piece may be a pod with less in it."""
        text = self._text(pod, version)
        cuts = [0, len(text) // 3, 2 * len(text) // 3, len(text)]
        self._path(pod).write_text("")
        for start, end in pairwise(cuts):
            with self._path(pod).open("a") as file:
                file.write(text[start:end])
            time.sleep(0.1)

    def _put_word(self) -> None:
        metadata = {"name": self.config_map}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {CONFIG_KEY: self.word}}
        write_text(self._path(CONFIG), yaml.safe_dump(document))

    @property
    def word(self) -> str:
        """What the ConfigMap says."""
        return self.sequence.word


def _pid(inspected: dict[str, Any]) -> int:
    pid = int((inspected.get("State") or {}).get("Pid") or 0)
    if not pid:
        raise ProcessLookupError("it does not run")
    return pid


def _podman(*command: str) -> str:
    """Run podman as an operator would; what it refuses is noted, since the pod may be in the middle of something."""
    done = subprocess.run(["podman", *command], capture_output=True, text=True, check=False, timeout=120)
    return done.stderr.strip()
