# shellcheck shell=bash
# Shared by the scripts beside it: sourced, never run.

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
[ -t 1 ] || say() { printf '==> %s\n' "$*"; }

# as_root CMD...: run as root, through sudo where we are not.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; return; fi
  command -v sudo >/dev/null || die "cannot run '$*' as root: sudo is missing. Run this as root"
  sudo "$@"
}

# podman_answers SOCKET: somebody serves libpod's API there.
podman_answers() {
  [ -S "$1" ] && [ "$(as_root curl -s -m 5 --unix-socket "$1" http://podman/_ping)" = OK ]
}
