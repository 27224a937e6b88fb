# bash completion of podsupd: commands, options, and the names of pods, containers and probes as the daemon knows them.
_podsupd() {
  mapfile -t COMPREPLY < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _PODSUPD_COMPLETE=complete_bash "$1" 2>/dev/null)
}
complete -o default -F _podsupd podsupd
