# Completion of shunt in fish.
complete -c shunt -l config -s c -rF -d 'the configuration'
complete -c shunt -l check -d 'say whether the file is valid'
complete -c shunt -l dump -d 'print the effective configuration'
complete -c shunt -l reference -d 'print the page that explains every key of the file'
complete -c shunt -l fail-open -x -d 'send everything there when the file cannot be used'
complete -c shunt -l listen -x -d 'where to listen then'
complete -c shunt -l version -d 'print the version'
complete -c shunt -l help -s h -d 'say what there is'
