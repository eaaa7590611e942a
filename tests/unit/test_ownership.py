"""One owner for each effect, and imports that point one way: read from the syntax tree of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import agentvm

PACKAGE = Path(agentvm.__file__).parent
MODULES = {path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in PACKAGE.rglob("*.py")}
TREES = {name: ast.parse(path.read_text(), str(path)) for name, path in MODULES.items()}

OWNERS = {
    # The front door runs before anything else may be imported.
    "processes": {"process", "first_start"},
    "environment": {"cli", "__main__", "first_start"},
    "printing": {"console"},
    "exit": {"__main__", "first_start"},
    # A guest that changes links at the right moment makes os.path.realpath raise; paths.find_real is for that.
    "realpath": set(),
}

EFFECTS = {
    **dict.fromkeys(("subprocess", "multiprocessing", "pty"), "processes"),
    **dict.fromkeys(("os.fork", "os.forkpty", "os.system", "os.popen"), "processes"),
    **dict.fromkeys((f"os.exec{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")), "processes"),
    **dict.fromkeys((f"os.spawn{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")), "processes"),
    **dict.fromkeys(("os.posix_spawn", "os.posix_spawnp"), "processes"),
    **dict.fromkeys(("os.environ", "os.environb", "os.getenv", "os.path.expandvars"), "environment"),
    **dict.fromkeys(("print", "sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"), "printing"),
    **dict.fromkeys(("sys.exit", "exit", "quit", "os._exit", "SystemExit"), "exit"),
    "os.path.realpath": "realpath",
}

LAYERS = (
    ("errors", "progress", "paths", "values", "jsontext", "first_start"),
    (
        *("model", "quoting", "digest", "resources", "console", "agents", "gitconfig", "variables", "modes"),
        *("tarstream", "files"),
    ),
    ("process", "project", "label", "manifest", "state", "terminal", "signing", "guest_shell"),
    ("settings", "hosttree", "untrusted"),
    (
        *("sharing", "certificates", "git", "github", "environment", "launch", "provision", "backend", "plan"),
        *("listeners", "homecopy"),
    ),
    ("session", "claude", "codex", "copies", "opencode", "hostprograms"),
    ("home",),
    ("lima/*", "fake", "context"),
    ("sshfile",),
    ("apply", "tripwire/*"),
    ("instances",),
    ("commands/*",),
    ("cli",),
    ("__main__",),
)
"""From the bottom up. A module imports from layers below its own; those of one layer do not import each other."""

EXCEPTIONS = {
    # The fake refuses the paths that Lima refuses, by Lima's own rule.
    ("fake", "lima/template"),
}
TOGETHER = {"lima/*", "tripwire/*", "commands/*"}
"""Packages that are one thing: their modules import each other."""

LIMA_WORDS = ("limactl", "--tty", "lima.yaml", "ssh.config", "LIMA_HOME", "LIMA_TEMPLATES_PATH")
SPEAKS_TO_PEOPLE = {
    # Texts for people name the program that they have to install or know.
    "plan": {"limactl"},
    "settings": {"limactl"},
    "commands/topics": {"LIMA_HOME"},
    "commands/manual": {"limactl"},
}


def is_package(module: str) -> bool:
    return module.endswith("__init__")


def group_of(module: str) -> str:
    return f"{module.rpartition('/')[0]}/*" if "/" in module else module


def layer_of(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if group_of(module) in layer)


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that is used or imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute | ast.Name):
            yield ast.unparse(node)


def imports_of(module: str) -> set[str]:
    """The modules of agentvm that a module imports, also late ones and those for types alone."""
    names = names_in(TREES[module])
    paths = {name.removeprefix("agentvm.").replace(".", "/") for name in names if name.startswith("agentvm.")}
    return paths & set(MODULES)


def strings_in(tree: ast.Module) -> Iterator[str]:
    """The text in a module that is no docstring."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


@pytest.mark.parametrize("module", [name for name in MODULES if is_package(name)])
def test_packages_import_nothing(module: str) -> None:
    assert not imports_of(module)


@pytest.mark.parametrize("module", MODULES)
def test_each_effect_has_its_owner(module: str) -> None:
    effects = {EFFECTS[name] for name in names_in(TREES[module]) if name in EFFECTS}
    strangers = {effect for effect in effects if module not in OWNERS[effect]}
    assert not strangers


@pytest.mark.parametrize("effect", OWNERS)
def test_each_owner_is_needed(effect: str) -> None:
    """Else a rule that finds nothing would look like one that is kept."""
    for owner in OWNERS[effect]:
        assert effect in {EFFECTS.get(name) for name in names_in(TREES[owner])}, f"{owner} does no {effect}"


@pytest.mark.parametrize("module", [name for name in MODULES if not is_package(name)])
def test_imports_point_down(module: str) -> None:
    for imported in imports_of(module):
        beside = group_of(module) == group_of(imported) in TOGETHER
        below = layer_of(imported) < layer_of(module)
        assert below or beside or (module, imported) in EXCEPTIONS, f"{module} imports {imported}"


def test_the_tables_name_what_is_there() -> None:
    listed = {name for layer in LAYERS for name in layer}
    there = {group_of(module) for module in MODULES if not is_package(module)}
    assert listed == there
    for module, imported in EXCEPTIONS:
        assert imported in imports_of(module)


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("lima/")])
def test_only_lima_knows_lima(module: str) -> None:
    imported = {name for name in imports_of(module) if name.startswith("lima/")}
    allowed = {"cli": {"lima/backend", "lima/directory"}, "fake": {"lima/template"}}
    assert imported <= allowed.get(module, set())
    said = {word for text in strings_in(TREES[module]) for word in LIMA_WORDS if word in text}
    assert said <= SPEAKS_TO_PEOPLE.get(module, set())
