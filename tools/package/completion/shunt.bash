# Completion of shunt in bash.

_shunt() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    if [[ $current == = || $before == = ]]; then
        [[ $current == = ]] && current=''
        [[ ${COMP_WORDS[*]} == *' --reference '* ]] && mapfile -t COMPREPLY < <(compgen -W man -- "$current")
        return
    fi
    case $before in
    --fail-open | --listen) return ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-c --config --check --dump --reference --fail-open --listen --version -h --help' -- "$current")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -F _shunt shunt
