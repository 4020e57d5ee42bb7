#compdef shunt
# Completion of shunt in zsh.

_shunt() {
    _arguments \
        '(-c --config)'{-c+,--config=}'[the configuration]:FILE:_files' \
        '--check[say whether the file is valid]' \
        '--dump[print the effective configuration]' \
        '--reference=-[print the page that explains every key of the file]::form:(man)' \
        '--fail-open=[send everything there when the file cannot be used]:HOST\:PORT: ' \
        '--listen=[where to listen then]:HOST\:PORT: ' \
        '--version[print the version]' \
        '(-h --help)'{-h,--help}'[say what there is]' \
        '1:FILE:_files'
}

if [[ $funcstack[1] == _shunt ]]; then
    _shunt "$@"
else
    compdef _shunt shunt
fi
