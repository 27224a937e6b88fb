"""The support table as a page for readers: ``docs/manifests.md`` is what this returns."""

from podsupd.manifest.kinds import OTHER_KINDS, ROOTS
from podsupd.manifest.support import TABLE
from podsupd.manifest.support_rows import Field, Support

_HEAD = """\
# Manifests: what podsupd makes of each field

This page is made from the code (`podsupd manifest-fields > docs/manifests.md`), and a test holds it to that. The \
types are those of the Kubernetes API reference; every field of the Pod API is here, and none is passed over in silence:

- **supported**: it does what Kubernetes says, on this host. What differs is in the notes below.
- **ignored**: it has no meaning on a single host. Accepted, with a warning that says why; values that say what \
happens anyway are accepted without one.
- **not supported**: an error at load, with the way out.

A field that is on no list is unknown: an error with file, line, YAML path and the nearest known name.
"""

_NOTES = """\
## Notes

- **References.** ConfigMaps, Secrets and PersistentVolumeClaims may stand in any file of the directory, and are found \
by name, whatever their namespace. What is missing and not optional is a warning on the file, and the container waits \
with `CreateContainerConfigError`; one that runs already runs on. An edit makes containers anew that have it in their \
environment, and changes mounted files in place, at once and all together (`..data`, as the kubelet does it); files \
mounted by `subPath` stay as they are until the container is started again.
- **Secrets.** Their files lie on a tmpfs beside the control socket (`/run/podsupd/volumes`, mode 0700) with the mode \
that the manifest gives them. Their values are in no log, event, API answer or label of podsupd; variables made of \
them are shown to whoever may run `podman inspect`.
- **`$(NAME)`** in `env`, `command`, `args` and `subPathExpr` is expanded as in Kubernetes: from `envFrom` and the \
variables before it, `$$` is a `$`, and what is not set stays as it is.
- **persistentVolumeClaim** is the Podman volume of the claim's name, made where it is missing, and never removed by \
podsupd. The annotations `volume.podman.io/driver`, `device`, `type`, `uid`, `gid` and `mount-options` of the claim \
are those of `podman kube play`.
- **emptyDir** lives as long as the pod is declared; with `medium: Memory` it is a tmpfs of `sizeLimit`. On disk \
`sizeLimit` has no effect.
- **image** volumes are pulled where they are missing, whatever their `pullPolicy`.
- **Profiles.** `seccompProfile` of type Localhost lies below `/var/lib/kubelet/seccomp`, as for `podman kube play`; \
no profile at all is Podman's default one. AppArmor and SELinux need a host that has them.
- **subdomain** gives the full name `HOSTNAME.SUBDOMAIN.NAMESPACE.svc.cluster.local`, which only the pod itself \
resolves, to an address of its own loopback.
- **dnsConfig** without `dnsPolicy: None` is added to what the host's `/etc/resolv.conf` says.
- **terminationMessagePath** is a file of the host, bound into the container, whose first 4 KiB are the message of the \
death.
"""

_WORDS = {
    Support.SUPPORTED: "supported",
    Support.IGNORED: "ignored",
    Support.LATER: "not supported",
}


def page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD, _NOTES]
    for kind in ROOTS:
        parts.append(f"## {kind} (`{ROOTS[kind]}`)\n\n{_rows(TABLE[kind])}")
        parts += [f"### {name}\n\n{_rows(TABLE[name])}" for name in _below(kind)]
    kinds = "\n".join(f"| {kind} | {way_out} |" for kind, way_out in sorted(OTHER_KINDS.items()))
    parts.append(f"## Other kinds\n\nNot supported:\n\n| kind | way out |\n| --- | --- |\n{kinds}\n")
    return "\n".join(parts)


def _below(root: str) -> list[str]:
    """Return the types inside of a kind of which a field is supported, in the order of their first mention."""
    others = [kind for kind in ROOTS if kind != root]
    before = {name for kind in others[: list(ROOTS).index(root)] for name in (kind, *_reached(kind))}
    return [name for name in _reached(root) if name not in before]


def _reached(root: str) -> list[str]:
    found: list[str] = []
    left = [root]
    while left:
        of = left.pop(0)
        for row in TABLE[of].values():
            if row.support is Support.SUPPORTED and row.type and row.type not in found:
                found.append(row.type)
                left.append(row.type)
    return found


def _rows(fields: dict[str, Field]) -> str:
    lines = ["| field | | |", "| --- | --- | --- |"]
    for name in sorted(fields):
        row = fields[name]
        of = f" ({'list of ' if row.many else ''}{row.type})" if row.type else ""
        lines.append(f"| `{name}`{of} | {_WORDS.get(row.support, 'supported')} | {row.why} |")
    return "\n".join(lines) + "\n"
