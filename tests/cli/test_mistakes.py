"""Bad input: an error that names the culprit and the next step, before anything changes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.world import World, program

USAGE = [
    (("clod",), "no command 'clod'", "agentvm --help"),
    (("claud",), "Did you mean 'claude'?", "agentvm --help"),
    (("run", "codx"), "Did you mean 'codex'?", "There are claude, codex, opencode."),
    (("run",), "needs the name of an agent", "There are claude, codex, opencode."),
    (("--nope", "list"), "no option '--nope'", "agentvm --help"),
    (("base", "snapshto"), "Did you mean 'snapshot'?", "init, apply, shell, snapshot, reset"),
    (("base",), "`agentvm base` needs a command", "init, apply, shell, snapshot, reset"),
    (("base", "init", "now"), "not clear what 'now' shall do", "agentvm base init --help"),
    (("rm", "--frce"), "no option '--frce'. Did you mean '--force'?", "agentvm rm --help"),
    (("list", "--jso"), "no option '--jso'. Did you mean '--json'?", "agentvm list --help"),
    (("list", "--json=1"), "`--json` takes no value", "agentvm list --help"),
    (("list", "--dry-run"), "--dry-run goes before the command", "agentvm --dry-run list"),
    (("status", "extra"), "not clear what 'extra' shall do", "agentvm status --help"),
    (("rm", "--", "one", "two"), "not clear what 'two' shall do", "agentvm rm --help"),
    (("update", "opencod"), "Did you mean 'opencode'?", "There are claude, codex, opencode."),
    (("login", "cluade"), "Did you mean 'claude'?", "There are claude, codex, opencode."),
    (("login",), "needs the name of an agent", "There are claude, codex, opencode."),
    (("completion",), "needs the name of a shell", "There are bash, zsh, fish."),
    (("completion", "fsh"), "Did you mean 'fish'?", "There are bash, zsh, fish."),
    (("--quite", "list"), "Did you mean '--quiet'?", "agentvm --help"),
    (("help", "shring"), "no command or topic 'shring'. Did you mean 'sharing'?", "agentvm --help"),
    (("help", "base", "int"), "Did you mean 'init'?", "init, apply, shell, snapshot, reset"),
    (("help", "rm", "init"), "`agentvm rm` has no command 'init'", "agentvm rm --help"),
    (("shell", "make"), "only after `--`", "agentvm shell -- make test"),
    (("shell", "--"), "needs a command", "agentvm shell -- make test"),
    (("help", "lst"), "Did you mean 'list'?", "agentvm --help"),
]

SETTINGS = [
    ("AGENTVM_YOLO", "maybe", "is neither on nor off"),
    ("AGENTVM_MOUNT_SSH", "2", "is neither on nor off"),
    ("AGENTVM_MOUNT_GITCONFIG", "ja", "is neither on nor off"),
    ("AGENTVM_SKIP_AUTO_INSTALL", "never", "is neither on nor off"),
    ("AGENTVM_CPUS", "-1", "is not a whole number"),
    ("AGENTVM_MEMORY", "lots", "is not a size"),
    ("AGENTVM_DISK", "8 parsecs", "is not a size"),
    ("AGENTVM_START_TIMEOUT", "0", "must be at least 1"),
    ("AGENTVM_BACKEND", "docker", "is not a backend; there are lima and fake"),
    ("AGENTVM_INSTANCE_PREFIX", "My_VMs", "must be words of lower-case letters"),
]


def test_a_wrong_command_line_is_status_2(world: World) -> None:
    for words, culprit, step in USAGE:
        said = world.fails(2, *words)
        assert culprit in said
        assert step in said


def test_no_command_shows_the_help_as_an_error(world: World) -> None:
    said = world.fails(2)
    assert "what shall I do?" in said
    assert "install-shims" in said


def test_a_wrong_setting_is_status_2_and_named(world: World) -> None:
    for variable, value, reason in SETTINGS:
        good, world.environment = world.environment, world.environment | {variable: value}
        said = world.fails(2, "codex")
        world.environment = good
        assert f"{variable}={value!r} {reason}" in said
        assert "It means: " in said


CONFIGS = [
    ("mount_ssh = maybe", "can't be read"),
    ("mount_ssh = 'maybe'", "mount_ssh in"),
    ("mount_shh = true", "there is no setting 'mount_shh'. Did you mean 'mount_ssh'?"),
    ("mount = []", "Did you mean 'mounts'?"),
    ("[mount]\nssh = 1", "there is no setting 'mount'"),
    ("cpus = [1]", "cpus must be"),
]


def test_a_wrong_config_file_is_status_2_and_named(world: World) -> None:
    path = world.config / "agentvm" / "config.toml"
    path.parent.mkdir(parents=True)
    for text, reason in CONFIGS:
        path.write_text(text)
        said = world.fails(2, "list")
        assert reason in said
        assert str(path) in said


def test_a_good_config_file_counts_and_the_environment_wins(world: World) -> None:
    path = world.config / "agentvm" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('mount_ssh = true\ncpus = 3\nmemory = "2GiB"\n')
    said = world.ok("doctor", AGENTVM_CPUS="5").out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in said if line.startswith("AGENTVM_")}
    assert rows["AGENTVM_MOUNT_SSH"] == ["1", str(path)]
    assert rows["AGENTVM_CPUS"] == ["5", "environment"]
    assert rows["AGENTVM_MEMORY"] == [str(2**31), str(path)]
    assert rows["AGENTVM_YOLO"] == ["0", "default"]


@pytest.mark.parametrize("command", ["codex", "base init", "base apply"])
def test_a_manifest_without_its_files_is_refused(world: World, command: str) -> None:
    place = world.directory / "manifest"
    words = command.split()
    if words[0] == "codex":
        # These are made before the base is looked at, and harm nobody.
        for path in (".claude", ".codex", ".local/share/agentvm/opencode"):
            (world.home / path).mkdir(parents=True)
        for path in ("opencode", "gh"):
            (world.config / path).mkdir(parents=True)
    for prepare, reason in (
        (lambda: None, "there is no apt-packages.txt in it"),
        (lambda: place.mkdir(), "there is no apt-packages.txt in it"),
        (lambda: (place / "apt-packages.txt").write_text("git\nnot/a/package\n"), "line 2: 'not/a/package'"),
        (lambda: (place / "apt-packages.txt").write_bytes(b"\xff"), "can't be read"),
    ):
        prepare()
        said = world.fails(2, *words, AGENTVM_BASE_MANIFEST_DIR=str(place))
        assert reason in said
        assert str(place) in said, said


def test_what_is_no_project_is_refused_with_the_reason(world: World) -> None:
    (world.home / ".ssh" / "deep").mkdir(parents=True)
    places = [
        ("/", "it is a directory of the system"),
        ("/usr/bin", "it belongs to the system"),
        (str(world.home), "it is your home directory"),
        (str(world.directory), "your home directory is in it"),
        (str(world.home / ".ssh" / "deep"), "~/.ssh holds what must not be shared"),
    ]
    before = world.tree()
    for place, reason in places:
        for words in (("codex",), ("shell",), ("status",), ("rm",)):
            done = world.run(*words, directory=Path(place))
            assert (done.status, done.out) == (2, ""), done
            assert f"{place} can't be a project: {reason}" in done.err
            assert "Go to the directory" in done.err
    assert world.tree() == before


HOSTILE = [
    "two words",
    "it's",
    "$(touch pwned)",
    "`id`",
    "naïve-日本",
    "-rf",
    "--help",
    "a\nb",
    "a;b&c|d",
    "tab\there",
    "*",
    "%s",
    'say "hi"',
    "back\\slash",
    "{{.Home}}",
    "line\u2028separator",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_path_works(ready: World, name: str) -> None:
    """And nothing of it is ever run."""
    place = ready.make_project(name)
    done = ready.ok("shell", "--", "sh", "-c", 'pwd; printf %s "$1" >file', "sh", name, directory=place)
    assert done.out == f"{place}\n"
    assert (place / "file").read_text() == name
    assert not list(ready.directory.rglob("pwned"))


def test_a_path_with_a_comma_is_refused_with_the_reason(world: World) -> None:
    """The fake shares by 9p, as it were."""
    said = world.fails(2, "codex", directory=world.make_project("a,path=b"))
    assert "can't be mounted by 9p: QEMU takes what is behind a comma for another option" in said
    assert "Rename the directory" in said


def test_a_path_that_is_not_utf_8_is_refused_with_the_reason(world: World) -> None:
    place = os.path.join(os.fsencode(world.home), b"bad-\xff")
    os.mkdir(place)
    done = subprocess.run(
        [*program(), "codex"], cwd=place, env=world.environment, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"its name is not UTF-8" in done.stderr


def test_a_name_too_long_names_what_to_shorten(world: World) -> None:
    assert "24 characters at most" in world.fails(2, "codex", AGENTVM_INSTANCE_PREFIX="p" * 25)
    place = world.make_project("x" * 200)
    world.ok("shell", "--", "true", directory=place, AGENTVM_INSTANCE_PREFIX="p" * 24)


def test_a_current_directory_that_was_deleted(world: World) -> None:
    script = f'rmdir "$PWD" && exec {" ".join(program())} list'
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=world.make_project("gone"),
        env=world.environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"The current directory was deleted" in done.stderr


@pytest.mark.parametrize("home", ["", "relative"])
def test_a_home_that_is_none_is_refused(world: World, home: str) -> None:
    assert f"HOME={home!r} is not an absolute path" in world.fails(2, "list", HOME=home)


def test_a_home_that_cannot_be_written(world: World) -> None:
    """A file in the way refuses root, too."""
    (world.home / ".local").write_text("a file")
    done = world.run("codex")
    assert (done.status, done.out) == (1, "")
    assert f"{world.home}/.local/share can't be made: Not a directory" in done.err
    assert not list(world.fake.glob("agentvm*"))


STATES = ["state", "state/agentvm", "state/agentvm/agentvm", "state/agentvm/agentvm/sessions"]


@pytest.mark.parametrize("path", STATES)
def test_a_state_directory_that_cannot_be_used(ready: World, path: str) -> None:
    place = ready.directory / path
    shutil.rmtree(place)
    place.write_text("a file")
    for words in (("shell", "--", "true"), ("list",), ("status",)):
        said = ready.fails(1, *words)
        assert str(place) in said


def test_a_file_of_the_state_that_cannot_be_opened(ready: World) -> None:
    lock = ready.state / "agentvm" / "agentvm" / f"{ready.instance()}.use"
    lock.unlink()
    lock.mkdir()
    said = ready.fails(1, "shell", "--", "true")
    assert str(lock) in said
    assert "Is a directory" in said


BROKEN = {
    ".gitconfig": (b"[user\n", "shell"),
    ".git-credentials": (b"a\0b", "shell"),
    ".claude.json": (b"{", "claude"),
    ".codex/config.toml": (b"= 1", "codex"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_of_the_hosts_gets_one_warning_that_names_it(ready: World, name: str) -> None:
    """And the session starts without it."""
    content, command = BROKEN[name]
    for agent in ("claude", "codex"):
        ready.add_program(agent, "true")
    words = ("shell", "--", "true") if command == "shell" else (command,)
    assert ready.ok(*words).err == ""
    (ready.home / name).parent.mkdir(exist_ok=True)
    (ready.home / name).write_bytes(content)
    # Not of the file being new, which the tripwire tells.
    (said,) = ready.ok(*words, AGENTVM_TRIPWIRE="0").err.splitlines()
    assert name in said


def test_a_broken_hosts_yml_gets_one_warning_that_names_it(ready: World) -> None:
    (ready.config / "gh").mkdir(exist_ok=True)
    (ready.config / "gh" / "hosts.yml").write_text("]")
    (said,) = ready.ok("shell", "--", "true").err.splitlines()
    assert f"{ready.config}/gh/hosts.yml" in said


def test_arguments_too_long_to_send(ready: World) -> None:
    said = ready.fails(2, "shell", "--", "echo", "x" * 120_000, "y" * 20_000)
    assert "too long to send" in said
    assert len(ready.ok("shell", "--", "echo", "x" * 100_000).out) == 100_001


def test_an_instance_that_is_not_ours_or_not_there(ready: World) -> None:
    for name in ("nope", "", "../home", "-x", ".", "agentvm-web"):
        words = ("rm", "--", name) if name.startswith("-") else ("rm", name)
        said = ready.fails(1, *words)
        assert f"There is no instance {name!r}" in said
        assert "agentvm list" in said


def test_a_bug_is_status_3_with_a_log(ready: World) -> None:
    """The fake's own file of failures, misspelt, is as good as a bug."""
    logs = ready.directory / "tmp"
    logs.mkdir()
    (ready.fake / "failures").write_text("one two\n")
    done = ready.run("base", "apply", TMPDIR=str(logs))
    assert done.status == 3
    (log,) = logs.iterdir()
    assert str(log) in done.err
    assert "Traceback" in log.read_text()
    assert "Traceback" not in done.err
    assert log.stat().st_mode & 0o777 == 0o600
