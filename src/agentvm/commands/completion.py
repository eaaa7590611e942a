"""`agentvm completion bash|zsh|fish`: a script that completes command lines, made from the table of commands.

The three do the same. What a command has is learnt from a `case` that is made here; then the words before the cursor are
followed as `arguments.parse` would, and what can stand at the cursor is offered. Behind an agent's name that is files.
Only for the names of VMs is agentvm started, as `agentvm complete-instances`.
"""

from __future__ import annotations

from agentvm.commands.arguments import parse
from agentvm.commands.table import (
    AFTER_DASHES,
    AFTER_OPERAND,
    AGENT,
    AT_ONCE,
    COMMANDS,
    DIRECTORY,
    FILE,
    GLOBAL_OPTIONS,
    INSTANCE,
    PAGE,
    SHELL,
    CommandEntry,
    Option,
    choices,
)
from agentvm.commands.topics import TOPICS
from agentvm.console import Console
from agentvm.quoting import join, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Words = list[tuple[str, str]]
"""What can be typed, and what is said of it."""

_PASSES = {AT_ONCE: "rest=1", AFTER_OPERAND: "passes=operand", AFTER_DASHES: "passes=dashes", "": ""}
_NO_WORDS = "none"
_HELP = Option("--help", "show how to use it", short="-h")


def completion(console: Console, arguments: tuple[str, ...]) -> int:
    shell = parse("completion", arguments).shell
    console.product({"bash": bash, "zsh": zsh, "fish": fish}[shell]().rstrip("\n"))
    return 0


class _Known:
    """What there is to complete behind a command's name; the name is empty for agentvm itself."""

    def __init__(self, name: str, parts: Words, options: tuple[Option, ...], kinds: list[str], passes_on: str) -> None:
        self.name = name
        self.parts = parts
        self.options: Words = [(word, o.help) for o in options for word in (o.name, o.short) if word]
        self.values = [f"{option.name}:{option.completes or _NO_WORDS}" for option in options if option.value]
        self.kinds = kinds
        self.passes = _PASSES[passes_on]


def _known() -> Iterator[_Known]:
    yield _Known("", [(name, command.summary) for name, command in COMMANDS.items()], GLOBAL_OPTIONS, [], "")
    for command in COMMANDS.values():
        yield _of(command)
        yield from map(_of, command.parts)


def _of(command: CommandEntry) -> _Known:
    parts = [(part.name.rpartition(" ")[2], part.summary) for part in command.parts]
    kinds = [f"{o.completes or _NO_WORDS}{'*' if o.many else ''}" for o in command.operands]
    options = () if command.passes_on == AT_ONCE else (*command.options, _HELP)
    return _Known(command.name, parts, options, kinds, command.passes_on)


def _choices() -> dict[str, Words]:
    """The words of each kind that are known beforehand."""
    pages = [(name, topic.summary) for name, topic in TOPICS.items() if name not in COMMANDS]
    found: dict[str, Words] = {kind: [(word, "") for word in choices(kind)] for kind in (AGENT, SHELL)}
    found[AGENT] = [(word, COMMANDS[word].summary) for word, _ in found[AGENT]]
    return {**found, PAGE: [*((name, command.summary) for name, command in COMMANDS.items()), *pages]}


def _fill(template: str, row: Callable[[_Known], str], choice: Callable[[str, Words], str]) -> str:
    rows = "".join(row(known) for known in _known())
    offers = "".join(choice(kind, words) for kind, words in _choices().items())
    for mark, text in (("@ROWS@\n", rows), ("@CHOICES@\n", offers)):
        template = template.replace(mark, text)
    for kind in (INSTANCE, DIRECTORY, FILE):
        template = template.replace(f"@{kind.upper()}@", kind)
    return template


# bash, also the 3.2 of macOS. An empty answer means files, by `-o default`, where that is not switched off.

_BASH = """\
# Completion of agentvm in bash: eval "$(agentvm completion bash)"

_agentvm_learn() {
    parts= options= values= kinds=() passes= rest=
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
    local current=${COMP_WORDS[COMP_CWORD]} command= word skip= dashes= count=0 i kind
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


def bash() -> str:
    return _fill(_BASH, _bash_row, lambda kind, words: f"        {kind}) _agentvm_words {quote(_lines(words))} ;;\n")


def _bash_row(known: _Known) -> str:
    lists = (("parts", _lines(known.parts)), ("options", _lines(known.options)), ("values", "\n".join(known.values)))
    settings = [f"{name}={quote(text)}" for name, text in lists if text]
    settings += [f"kinds=({join(tuple(known.kinds))})"] if known.kinds else []
    return f"        {quote(known.name)}) {' '.join(filter(None, (*settings, known.passes)))} ;;\n"


def _lines(words: Words) -> str:
    return "\n".join(word for word, _ in words)


# zsh. The file may be evaluated, or lie on the fpath as _agentvm.

_ZSH = """\
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


def zsh() -> str:
    return _fill(_ZSH, _zsh_row, lambda kind, words: f"        ({kind}) found=({_described(words, ':')}) ;;\n")


def _zsh_row(known: _Known) -> str:
    lists = (
        ("parts", _described(known.parts, ":")),
        ("options", _described(known.options, ":")),
        ("values", join(tuple(known.values))),
        ("kinds", join(tuple(known.kinds))),
    )
    settings = [f"{name}=({text})" for name, text in lists if text]
    lines = "\n            ".join(filter(None, (*settings, known.passes)))
    return f"        ({quote(known.name)})\n            {lines}\n            ;;\n"


def _described(words: Words, between: str) -> str:
    return join(tuple(f"{word}{between}{text}".rstrip(between) for word, text in words))


# fish. Its quotes are those of sh for all that has no backslash.

_FISH = """\
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


def fish() -> str:
    return _fill(_FISH, _fish_row, _fish_choice)


def _fish_row(known: _Known) -> str:
    lists = (
        ("parts", _described(known.parts, "\t")),
        ("options", _described(known.options, "\t")),
        ("values", join(tuple(known.values))),
        ("kinds", join(tuple(known.kinds))),
    )
    settings = [f"set {name} {text}" for name, text in lists if text]
    settings += [f"set {known.passes.replace('=', ' ')}"] if known.passes else []
    return f"        case {quote(known.name)}\n" + "".join(f"            {line}\n" for line in settings)


def _fish_choice(kind: str, words: Words) -> str:
    return f"        case {kind}\n            printf '%s\\n' {_described(words, chr(9))}\n"
