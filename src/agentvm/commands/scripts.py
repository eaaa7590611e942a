"""The completions, but for what `completion` puts in from the table of commands.

The three do the same. What a command has is learnt from a `case` that is filled in; then the words before the cursor are
followed as `arguments.read` would, and what can stand at the cursor is offered. Behind an agent's name that is files.
Only for the names of VMs is agentvm started, as `agentvm complete-instances`, which is silent whatever is wrong.
"""

# Also for the bash 3.2 of macOS. An empty answer means files, by `-o default`, where that is not switched off.
BASH = """\
# Completion of agentvm in bash: eval "$(agentvm completion bash)"

_agentvm_learn() {
    parts='' options='' values='' kinds=() passes='' rest=''
    case $1 in
@ROWS@
    esac
}

_agentvm_words() {
    local word
    while IFS= read -r word; do
        if [[ -n $word && $word == "$current"* ]]; then COMPREPLY+=("$word"); fi
    done <<<"$1"
}

_agentvm_offer() {
    case $1 in
@CHOICES@
        @INSTANCE@) _agentvm_words "$(command agentvm complete-instances 2>/dev/null)" ;;
        @DIRECTORY@)
            compopt -o filenames 2>/dev/null
            _agentvm_words "$(compgen -d -- "$current")"
            ;;
        @FILE@) return 0 ;;
    esac
    compopt +o default 2>/dev/null
}

_agentvm() {
    local current=${COMP_WORDS[COMP_CWORD]} command='' word skip='' dashes='' count=0 i kind
    local parts options values kinds passes rest
    COMPREPLY=()
    _agentvm_learn ''
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $rest ]]; then
            break
        elif [[ $word == '=' ]]; then
            continue
        elif [[ -n $skip ]]; then
            skip=
        elif [[ $word == -- && -z $dashes ]]; then
            dashes=1
            if [[ $passes == dashes ]]; then rest=1; fi
        elif [[ $word == -* && -z $dashes ]]; then
            case $'\\n'$values in *$'\\n'"$word:"*) skip=$word ;; esac
        elif [[ -n $parts ]]; then
            command="${command:+$command }$word"
            _agentvm_learn "$command"
        else
            count=$((count + 1))
            if [[ $passes == operand ]]; then rest=1; fi
        fi
    done
    if [[ $current == '=' ]]; then current=; fi
    if [[ -n $rest ]]; then
        return 0
    elif [[ -n $skip ]]; then
        kind=${values#*"$skip:"}
        _agentvm_offer "${kind%%$'\\n'*}"
    elif [[ $current == -* && -z $dashes ]]; then
        _agentvm_words "$options"
        compopt +o default 2>/dev/null
    elif [[ -n $parts ]]; then
        _agentvm_words "$parts"
        compopt +o default 2>/dev/null
    else
        if ((count >= ${#kinds[@]} && ${#kinds[@]} > 0)); then
            kind=${kinds[${#kinds[@]} - 1]}
            [[ $kind == *'*' ]] || kind=none
        else
            kind=${kinds[count]-none}
        fi
        _agentvm_offer "${kind%'*'}"
    fi
    return 0
}

complete -o default -F _agentvm agentvm
"""

# It may be evaluated, or lie on the fpath as _agentvm.
ZSH = """\
#compdef agentvm
# Completion of agentvm in zsh: eval "$(agentvm completion zsh)" after compinit, or as _agentvm on the fpath

_agentvm_learn() {
    parts=() options=() values=() kinds=() passes= rest=
    case $1 in
@ROWS@
    esac
}

_agentvm_offer() {
    local -a found
    case $1 in
@CHOICES@
        (@INSTANCE@) found=(${(f)"$(command agentvm complete-instances 2>/dev/null)"}) ;;
        (@DIRECTORY@) _files -/; return ;;
        (@FILE@) _files; return ;;
    esac
    _describe -t "$1s" "$1" found
}

_agentvm() {
    local name= word skip= dashes= passes= rest= kind=
    local -a parts options values kinds
    integer count=1 i
    _agentvm_learn ''
    for ((i = 2; i < CURRENT; i++)); do
        word=${(Q)words[i]}
        if [[ -n $rest ]]; then
            break
        elif [[ -n $skip ]]; then
            skip=
        elif [[ $word == -- && -z $dashes ]]; then
            dashes=1
            if [[ $passes == dashes ]]; then rest=1; fi
        elif [[ $word == -* && -z $dashes ]]; then
            if (( ${values[(I)${(b)word}:*]} )); then skip=$word; fi
        elif (( $#parts )); then
            name="${name:+$name }$word"
            _agentvm_learn $name
        else
            (( count++ ))
            if [[ $passes == operand ]]; then rest=1; fi
        fi
    done
    if [[ -n $rest ]]; then
        _files
    elif [[ -n $skip ]]; then
        _agentvm_offer ${${values[(r)${(b)skip}:*]}#*:}
    elif [[ $PREFIX == -* && -z $dashes ]]; then
        _describe -o option options
    elif (( $#parts )); then
        _describe -t commands command parts
    else
        kind=${kinds[count]-}
        if [[ -z $kind && ${kinds[-1]-} == *\\* ]]; then kind=$kinds[-1]; fi
        _agentvm_offer ${${kind:-none}%\\*}
    fi
}

if [[ ${funcstack[1]-} == _agentvm ]]; then
    _agentvm "$@"
else
    compdef _agentvm agentvm
fi
"""

# fish's single quotes are those of sh for all that has no backslash.
FISH = """\
# Completion of agentvm in fish: agentvm completion fish | source

function __agentvm_learn --no-scope-shadowing
    set parts
    set options
    set values
    set kinds
    set passes ''
    set rest ''
    switch $argv[1]
@ROWS@
    end
end

function __agentvm_offer
    switch $argv[1]
@CHOICES@
        case @INSTANCE@
            command agentvm complete-instances 2>/dev/null
        case @DIRECTORY@
            __fish_complete_directories (commandline -ct)
        case @FILE@
            __fish_complete_path (commandline -ct)
    end
end

function __agentvm_complete
    set -l tokens (commandline -opc)
    set -l current (commandline -ct)
    set -l parts
    set -l options
    set -l values
    set -l kinds
    set -l passes
    set -l rest
    set -l name
    set -l skip ''
    set -l dashes ''
    set -l count 1
    __agentvm_learn ''
    for word in $tokens[2..-1]
        if test -n "$rest"
            break
        else if test -n "$skip"
            set skip ''
        else if test "$word" = -- -a -z "$dashes"
            set dashes 1
            test "$passes" = dashes; and set rest 1
        else if string match -q -- '-*' $word; and test -z "$dashes"
            string match -q -- "$word:*" $values; and set skip $word
        else if set -q parts[1]
            set -a name $word
            __agentvm_learn "$name"
        else
            set count (math $count + 1)
            test "$passes" = operand; and set rest 1
        end
    end
    if test -n "$rest"
        __fish_complete_path $current
    else if test -n "$skip"
        __agentvm_offer (string replace -- "$skip:" '' (string match -- "$skip:*" $values))
    else if string match -q -- '-*' $current; and test -z "$dashes"
        printf '%s\\n' $options
    else if set -q parts[1]
        printf '%s\\n' $parts
    else if set -q kinds[$count]
        __agentvm_offer (string trim -r -c '*' -- $kinds[$count])
    else if string match -q -- '*\\*' $kinds[-1]
        __agentvm_offer (string trim -r -c '*' -- $kinds[-1])
    end
end

complete -c agentvm -f -a '(__agentvm_complete)'
"""
