"""Kubernetes' rules between fields, checked on plain values so that one wrong field hides no other error.

Whatever has the wrong shape is passed over here: `schema` reports it.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from podsupd.manifest import names
from podsupd.manifest.documents import Document, Path, mapping
from podsupd.manifest.quantities import parse_quantity
from podsupd.manifest.report import Report, nearest
from podsupd.manifest.signal_schema import loops

HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
HOOKS = ("postStart", "preStop")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")

_NO_EVICTION = "without effect on disk: nothing on a single host evicts a pod for its disk: use medium: Memory"
_ANY_ADDRESS = frozenset(("", "0.0.0.0", "::"))  # noqa: S104  an address to compare with, not to bind


class Rules:
    """The checks of one document."""

    def __init__(self, document: Document, report: Report) -> None:
        """document: as read, with everything that is not supported still in it."""
        self.document = document
        self.report = report
        self.root = document.value

    def pod(self) -> None:
        """Check a Pod."""
        self.metadata()
        spec = mapping(self.root.get("spec"))
        inits = list(_items(spec, "initContainers", ("spec",)))
        containers = [*_items(spec, "containers", ("spec",)), *inits]
        volumes = list(_items(spec, "volumes", ("spec",)))
        self._unique(containers, "name", "a container")
        self._unique(volumes, "name", "a volume")
        known = {v["name"] for _, v in volumes if isinstance(v.get("name"), str)}
        siblings = {c["name"] for _, c in containers if isinstance(c.get("name"), str)}
        for path, container in containers:
            self._container(path, container, known, siblings)
        self._volumes(volumes, siblings)
        if spec.get("hostNetwork") is True:
            self._host_ports(containers)
        for path, container in inits:
            self._init(path, container)

    def _host_ports(self, containers: list[tuple[Path, dict[str, Any]]]) -> None:
        for path, port in (port for at, c in containers for port in _items(c, "ports", at)):
            if port.get("hostPort") not in (None, 0, port.get("containerPort")):
                what = f"must be {port.get('containerPort')}, its containerPort, in the host's network"
                self._error((*path, "hostPort"), f"{what}, found {port['hostPort']}: remove it")

    def _volumes(self, volumes: list[tuple[Path, dict[str, Any]]], containers: set[str]) -> None:
        for path, volume in volumes:
            sources = [key for key in volume if key != "name" and volume[key] is not None]
            if len(sources) > 1:
                self._error(path, f"a volume has one source, found {_listed(sources)}: keep one of them")
            size = mapping(volume.get("emptyDir"))
            if size.get("sizeLimit") is not None and size.get("medium") != "Memory":
                self.report.warning(self.document, (*path, "emptyDir", "sizeLimit"), _NO_EVICTION)
            self._downward((*path, "downwardAPI"), mapping(volume.get("downwardAPI")), containers)
            for at, source in _items(mapping(volume.get("projected")), "sources", (*path, "projected")):
                self._downward((*at, "downwardAPI"), mapping(source.get("downwardAPI")), containers)

    def _downward(self, path: Path, source: dict[str, Any], containers: set[str]) -> None:
        """Check that a resource in a file says whose it is: a volume belongs to no container."""
        for at, item in _items(source, "items", path):
            if isinstance(ref := item.get("resourceFieldRef"), dict):
                where = (*at, "resourceFieldRef", "containerName")
                if ref.get("containerName"):
                    self._reference(where, ref["containerName"], containers, "container")
                else:
                    self._error(where, "is required for a file: name the container")

    def _init(self, path: Path, container: dict[str, Any]) -> None:
        """Check that an init container that ends by itself asks for nothing that only what goes on running can have."""
        if container.get("restartPolicy") == "Always":
            return
        for field in (*PROBES, "lifecycle"):
            if container.get(field):
                way_out = "remove it, or make it a sidecar with restartPolicy: Always"
                self._error((*path, field), f"an init container ends before the next one starts: {way_out}")

    def policy(self, pod: Document | None) -> None:
        """Check a PodPolicy against the pod that it is for."""
        self.metadata()
        spec = mapping(self.root.get("spec"))
        containers = list(_every(pod)) if pod else []
        known = {c["name"] for _, c in containers if isinstance(c.get("name"), str)}
        probes = list(_items(spec, "probes", ("spec",)))
        self._unique(probes, "name", "a probe")
        for path, probe in probes:
            self._probe(path, probe, [port for _, c in containers for _, port in _items(c, "ports", ())])
            command = mapping(probe.get("exec"))
            on_host = probe.get("from") == "Host"
            if command and on_host and command.get("container"):
                self._error((*path, "exec", "container"), "the command runs on the host: remove it, or from: Host")
            elif command and not on_host and not command.get("container"):
                self._error((*path, "exec"), "container is missing: name it, or write from: Host")
            if probe.get("expect") is not None and probe.get("httpGet") is None:
                self._error((*path, "expect"), "only what an httpGet answers can be expected: remove it")
            self._on_failure((*path, "onFailure"), mapping(probe.get("onFailure")), known if pod else None)
            if pod:
                self._reference((*path, "exec", "container"), command.get("container"), known, "container")
        backoff = mapping(spec.get("backoff"))
        first, last = backoff.get("initialSeconds", 10), backoff.get("maxSeconds", 300)
        if isinstance(first, int | float) and isinstance(last, int | float) and first > last:
            self._error(("spec", "backoff"), f"maxSeconds must be at least initialSeconds, found {last} and {first}")
        self._signals(mapping(spec.get("signals")), known if pod else None)

        update = mapping(spec.get("update"))
        healthy, deadline = update.get("minHealthySeconds", 10), update.get("progressDeadlineSeconds", 120)
        if isinstance(healthy, int | float) and isinstance(deadline, int | float) and healthy >= deadline:
            what = f"must be more than minHealthySeconds, found {deadline} and {healthy}"
            self._error(("spec", "update", "progressDeadlineSeconds"), what)
        self._stop(mapping(spec.get("stop")), mapping(pod.value.get("spec")) if pod else {})

    def _signals(self, signals: dict[str, Any], known: set[str] | None) -> None:
        """Check rules on signals. known: the pod's containers, None where there is no pod to compare with."""
        at: Path = ("spec", "signals")
        forward, expect = list(_items(signals, "forward", at)), list(_items(signals, "expect", at))
        if known is not None:
            targets = [pair for path, rule in forward for pair in _items(rule, "to", path)]
            for path, item in (*forward, *targets, *expect):
                self._reference((*path, "container"), item.get("container"), known, "container")
        for where, message in loops(signals.get("forward")):
            self._error((*at, "forward", *where), message)
        seen: dict[tuple[str, str], int] = {}
        for path, rule in expect:
            if rule.get("exits") is False and rule.get("exitCode") is not None:
                self._error((*path, "exitCode"), "there is none when it does not exit: remove it, or exits: false")
            key = (str(rule.get("container")), str(rule.get("signal")))
            if key in seen:
                what = f"{key[1]} to {key[0]} is already expected something of on line {seen[key]}: keep one of them"
                self._error(path, what)
            seen.setdefault(key, self.document.line_of(path))

    def _on_failure(self, path: Path, failure: dict[str, Any], known: set[str] | None) -> None:
        """Check what a failure does; known: the pod's containers, None when the pod is not in the file."""
        steps = [(path, failure)] if failure else []
        for at, step in [*steps, *_items(failure, "ladder", path)]:
            forms = ("restartContainer", "webhook", "ladder") if at is path else ("restartContainer", "webhook")
            found = [form for form in forms if step.get(form) is not None]
            if len(found) != 1:
                has = f"found {_listed(found)}: keep one of them" if found else "found none: add one, or write None"
                self._error(at, f"a failure does exactly one of {_listed(list(forms))}, {has}")
            if known is not None:
                self._reference((*at, "restartContainer"), step.get("restartContainer"), known, "container")
        if failure.get("restartContainer") is not None and failure.get("resetSeconds") is not None:
            self._error((*path, "resetSeconds"), "is for a ladder: there is one step only: remove it")

    def _stop(self, stop: dict[str, Any], pod: dict[str, Any]) -> None:
        """Say where the pod's own spec is stronger than how it is to be stopped."""
        seconds = [step.get("seconds") for _, step in _items(stop, "sequence", ())]
        total = sum(s for s in seconds if isinstance(s, int | float))
        grace = pod.get("terminationGracePeriodSeconds", 30)
        if isinstance(grace, int | float) and total > grace:
            what = f"takes {total:g} s, but SIGKILL comes after terminationGracePeriodSeconds ({grace:g} s)"
            self.report.warning(self.document, ("spec", "stop", "sequence"), what)
        if stop.get("scope") == "Container" and pod and pod.get("shareProcessNamespace") is not True:
            why = "without shareProcessNamespace the kernel ends the others with the first process: use All"
            self.report.warning(self.document, ("spec", "stop", "scope"), why)

    def _error(self, path: Path, message: str) -> None:
        self.report.error(self.document, path, message)

    def metadata(self) -> None:
        """Check the metadata of any document."""
        metadata = mapping(self.root.get("metadata"))
        namespace = metadata.get("namespace")
        if isinstance(namespace, str) and namespace != "default":
            why = "a single host has one flat name space, in which the pod is known by its name alone"
            self.report.warning(self.document, ("metadata", "namespace"), f"kept as metadata only: {why}")
        for field, check in (("labels", names.label_value), ("annotations", None)):
            for key, value in mapping(metadata.get(field)).items():
                for rule, text in ((names.qualified_name, key), (check, value)):
                    if rule and isinstance(text, str):
                        self._apply(rule, text, ("metadata", field, key))

    def _apply(self, rule: Any, text: str, path: Path) -> None:
        try:
            rule(text)
        except ValueError as error:
            self._error(path, str(error))

    def _unique(self, items: list[tuple[Path, dict[str, Any]]], field: str, what: str) -> None:
        seen: dict[str, Path] = {}
        for path, item in items:
            name = item.get(field)
            if isinstance(name, str) and name in seen:
                first = self.document.line_of((*seen[name], field))
                self._error((*path, field), f'{what} of the name "{name}" is already on line {first}: rename one')
            elif isinstance(name, str) and name:
                seen[name] = path

    def _reference(self, path: Path, name: object, known: set[str], what: str) -> None:
        if isinstance(name, str) and name and name not in known:
            near = nearest(name, known)
            have = f'did you mean "{near}"?' if near else f"the pod has {_listed(sorted(known)) or 'none'}"
            self._error(path, f'there is no {what} of the name "{name}": {have}')

    def _container(self, path: Path, container: dict[str, Any], volumes: set[str], known: set[str]) -> None:
        ports = list(_items(container, "ports", path))
        self._unique(ports, "name", "a port")
        mounts = list(_items(container, "volumeMounts", path))
        self._unique(mounts, "mountPath", "a mount")
        for at, mount in mounts:
            self._reference((*at, "name"), mount.get("name"), volumes, "volume")
            privileged = mapping(container.get("securityContext")).get("privileged")
            if mount.get("mountPropagation") == "Bidirectional" and privileged is not True:
                self._error((*at, "mountPropagation"), "Bidirectional needs securityContext.privileged: add it")
        for field in PROBES:
            if isinstance(container.get(field), dict):
                self._probe((*path, field), container[field], [port for _, port in ports])
                successes = container[field].get("successThreshold")
                if field != "readinessProbe" and isinstance(successes, int) and successes > 1:
                    what = f"must be 1 for a {field}, found {successes}: only readiness can ask for more"
                    self._error((*path, field, "successThreshold"), what)
                if field == "readinessProbe" and container[field].get("terminationGracePeriodSeconds") is not None:
                    what = "must not be set for a readinessProbe: its failure ends nothing"
                    self._error((*path, field, "terminationGracePeriodSeconds"), what)
        if container.get("restartPolicyRules") and not container.get("restartPolicy"):
            self._error(
                (*path, "restartPolicyRules"), "rules are for a container with a restartPolicy of its own: add one"
            )
        lifecycle = mapping(container.get("lifecycle"))
        for field in HOOKS:
            if isinstance(lifecycle.get(field), dict):
                self._hook((*path, "lifecycle", field), lifecycle[field], [port for _, port in ports])
        seen: dict[str, int] = {}
        for at, variable in _items(container, "env", path):
            name = variable.get("name")
            if isinstance(name, str) and name in seen:
                message = f'"{name}" is already set on line {seen[name]}: the last value is used'
                self.report.warning(self.document, (*at, "name"), message)
            elif isinstance(name, str):
                seen[name] = self.document.line_of((*at, "name"))
            of = mapping(mapping(variable.get("valueFrom")).get("resourceFieldRef")).get("containerName")
            self._reference((*at, "valueFrom", "resourceFieldRef", "containerName"), of, known, "container")
        self._resources((*path, "resources"), mapping(container.get("resources")))

    def _hook(self, path: Path, hook: dict[str, Any], ports: list[dict[str, Any]]) -> None:
        handlers = [name for name in ("exec", "httpGet", "sleep") if hook.get(name) is not None]
        if len(handlers) != 1 and hook.get("tcpSocket") is None:
            has = f"found {_listed(handlers)}: keep one of them" if handlers else "found none: add one"
            self._error(path, f"a hook has exactly one of exec, httpGet and sleep, {has}")
        self._port(path, hook, "httpGet", ports)

    def _probe(self, path: Path, probe: dict[str, Any], ports: list[dict[str, Any]]) -> None:
        handlers = [name for name in HANDLERS if probe.get(name) is not None]
        if len(handlers) != 1:
            has = f"found {_listed(handlers)}: keep one of them" if handlers else "found none: add one"
            self._error(path, f"a probe has exactly one of exec, httpGet, tcpSocket and grpc, {has}")
        for name in ("httpGet", "tcpSocket"):
            self._port(path, probe, name, ports)

    def _port(self, path: Path, holder: dict[str, Any], name: str, ports: list[dict[str, Any]]) -> None:
        """Check that a port that is named is there."""
        known = {port["name"] for port in ports if isinstance(port.get("name"), str)}
        port = mapping(holder.get(name)).get("port")
        if isinstance(port, str) and not port.isdigit() and port not in known:
            near = nearest(port, known)
            have = f'did you mean "{near}"?' if near else "name it under ports, or write its number"
            self._error((*path, name, "port"), f'there is no port of the name "{port}": {have}')

    def _resources(self, path: Path, resources: dict[str, Any]) -> None:
        limits, requests = mapping(resources.get("limits")), mapping(resources.get("requests"))
        for name in ("cpu", "memory"):
            limit, request = _quantity(limits.get(name)), _quantity(requests.get(name))
            if limit is not None and request is not None and request > limit:
                has = f"found {requests[name]} over {limits[name]}"
                self._error((*path, "requests", name), f"must not exceed the limit, {has}: raise the limit")


def host_ports(pods: Iterable[Document], report: Report) -> None:
    """Check that the pods of a file publish no host port twice."""
    seen: list[tuple[int, int, str, str]] = []
    for pod in pods:
        for path, container in _every(pod):
            for at, port in _items(container, "ports", path):
                number, ip = port.get("hostPort"), port.get("hostIP") or ""
                protocol = port.get("protocol") or "TCP"
                if not isinstance(number, int) or not number or not isinstance(ip, str):
                    continue
                line = pod.line_of((*at, "hostPort"))
                first = next((taken[0] for taken in seen if _same_port(taken[1:], (number, protocol, ip))), None)
                if first is None:
                    seen.append((line, number, protocol, ip))
                else:
                    message = f"{number}/{protocol} is already published on line {first}: choose another port"
                    report.error(pod, (*at, "hostPort"), message)


def _same_port(a: tuple[int, str, str], b: tuple[int, str, str]) -> bool:
    return a[:2] == b[:2] and (a[2] == b[2] or not _ANY_ADDRESS.isdisjoint((a[2], b[2])))


def _every(pod: Document) -> Iterator[tuple[Path, dict[str, Any]]]:
    spec = mapping(pod.value.get("spec"))
    yield from _items(spec, "initContainers", ("spec",))
    yield from _items(spec, "containers", ("spec",))


def _items(holder: dict[str, Any], field: str, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the mappings in a list, with their paths."""
    value = holder.get(field)
    for index, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, dict):
            yield (*path, field, index), item


def _quantity(value: object) -> Fraction | None:
    try:
        return None if value is None else parse_quantity(value)
    except ValueError:
        return None


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
