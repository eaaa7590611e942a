"""What is published: the archive, its source, their sums, and a formula of Homebrew's that says how to build one of the other."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import build
from agentvm import __version__
from tests.archive.conftest import ROOT, Installed, start

ADDRESS = "https://agentvm.example/releases/v1"
PREFIX = 'Formula["python@3.13"].opt_bin/"python3.13"'
README = ROOT / "README.md"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("release") / f"agentvm-{__version__}.tar.gz"
    build.pack_source(target)
    return target


@pytest.fixture(scope="module")
def formula(source: Path) -> str:
    return build.fill_formula(build.FORMULA.read_text(), ADDRESS, build.read_version(), build.sum_of(source))


@pytest.fixture(scope="module")
def unpacked(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("source")
    with tarfile.open(source) as archive:
        archive.extractall(place, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(place)
    yield place / f"agentvm-{__version__}"
    shutil.rmtree(place)


def test_the_source_is_the_checkout_and_its_bytes_depend_on_nothing_else(source: Path, tmp_path: Path) -> None:
    again = tmp_path / source.name
    mask = os.umask(0o077)
    try:
        build.pack_source(again)
    finally:
        os.umask(mask)
    assert again.read_bytes() == source.read_bytes()
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        assert {member.mode for member in archive.getmembers()} <= {0o644, 0o755}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert names >= {"build.py", "LICENSE", "constraints.txt", "shims/claude", "src/agentvm/__main__.py"}
    assert names >= set(listed.splitlines()), "what git keeps is all there"
    assert not any(name.startswith((".git/", ".venv", "dist", "build/")) for name in names)


def test_ruby_understands_the_formula(formula: str, tmp_path: Path) -> None:
    ruby = shutil.which("ruby")
    assert ruby, "build.py test installs it"
    for text in (formula, build.FORMULA.read_text()):
        (tmp_path / "agentvm.rb").write_text(text)
        done = start([ruby, "-wc", tmp_path / "agentvm.rb"], {"PATH": os.environ["PATH"]})
        assert (done.returncode, done.stdout, done.stderr) == (0, "Syntax OK\n", "")


def test_the_formula_names_what_is_published(formula: str, source: Path) -> None:
    assert "@" not in formula.replace("python@", "")
    assert f'  url "{ADDRESS}/{source.name}"\n' in formula
    assert f'  sha256 "{hashlib.sha256(source.read_bytes()).hexdigest()}"\n' in formula
    assert f'  homepage "{ADDRESS}"\n' in formula
    assert '  license "MIT"\n' in formula
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


def test_the_formula_is_as_homebrews_audit_wants_it(formula: str) -> None:
    """What `brew audit --strict` says of order and texts, as far as it needs no Homebrew."""
    lines = formula.splitlines()
    assert all(len(line) <= 118 and line == line.rstrip() and "\t" not in line for line in lines)
    fields = re.findall(
        r"^  (desc|homepage|url|sha256|license|depends_on|def install|def caveats|test do)\b", formula, re.MULTILINE
    )
    assert fields == [
        *"desc homepage url sha256 license depends_on depends_on".split(),
        "def install",
        "def caveats",
        "test do",
    ]
    (description,) = re.findall(r'^  desc "(.+)"$', formula, re.MULTILINE)
    assert len(f"agentvm: {description}") <= 80
    assert not description.lower().startswith(("a ", "an ", "the ", "agentvm"))
    assert not description.endswith(".")
    needed = re.findall(r'^  depends_on "(.+)"$', formula, re.MULTILINE)
    assert needed == sorted(needed)
    assert re.search(r"^class Agentvm < Formula$", formula, re.MULTILINE)


def test_what_it_depends_on_is_what_agentvm_needs(formula: str) -> None:
    (minor,) = re.findall(r'depends_on "python@3\.(\d+)"', formula)
    (least,) = re.findall(r'^requires-python = ">=3\.(\d+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert int(minor) >= int(least)
    assert PREFIX.count(f"3.{minor}") == 2
    assert 'depends_on "lima"' in formula


def test_its_steps_install_an_agentvm_that_passes_its_test(formula: str, unpacked: Path, tmp_path: Path) -> None:
    """Each line of `install` and of `test` is carried out as Homebrew would, with this machine's Python and tools."""
    (ROOT / ".venv" / "installed").stat()
    (unpacked / ".venv").symlink_to(ROOT / ".venv")
    bin_directory, home = tmp_path / "bin", tmp_path / "home"
    home.mkdir()
    body = re.search(r"  def install\n(.*?)\n  end\n", formula, re.DOTALL)
    assert body
    steps = [line.strip() for line in body[1].splitlines() if not line.strip().startswith("#")]
    assert steps == [f'system {PREFIX}, "build.py"', 'bin.install "dist/agentvm.pyz" => "agentvm"']
    built = start([shutil.which("python3") or "python3", unpacked / "build.py"], {**os.environ, "HOME": str(home)})
    assert built.returncode == 0, built
    bin_directory.mkdir()
    shutil.move(unpacked / "dist" / "agentvm.pyz", bin_directory / "agentvm")
    checks = re.findall(r'assert_match (.+), shell_output\("(.+)"\)', formula)
    assert len(checks) == 2
    for wanted, command in checks:
        line = command.replace("#{bin}", shlex.quote(str(bin_directory)))
        done = start(["/bin/sh", "-c", line], {"PATH": os.environ["PATH"], "HOME": str(home)})
        assert done.returncode == 0, done
        assert (__version__ if wanted == "version.to_s" else wanted.strip('"')) in done.stdout


def test_what_is_built_from_the_source_is_what_is_published(archive: Path, unpacked: Path, tmp_path: Path) -> None:
    build.make_archive(build.make_environment(), unpacked, tmp_path / "agentvm.pyz")
    assert (tmp_path / "agentvm.pyz").read_bytes() == archive.read_bytes()


def install_line() -> str:
    """The one line of the README that installs a release."""
    (block,) = re.findall(r"```bash\n(curl .*?)```", README.read_text(), re.DOTALL)
    return str(block)


@pytest.mark.parametrize("spoiled", [False, True], ids=["whole", "spoiled"])
def test_the_one_line_of_the_readme_installs_a_release(archive: Path, tmp_path: Path, spoiled: bool) -> None:
    published, home = tmp_path / "published", tmp_path / "home"
    (home / ".local" / "bin").mkdir(parents=True)
    published.mkdir()
    shutil.copy(archive, published / "agentvm.pyz")
    (published / "agentvm.pyz.sha256").write_text(f"{build.sum_of(archive)}  agentvm.pyz\n")
    if spoiled:
        with (published / "agentvm.pyz").open("ab") as file:
            file.write(b"x")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "RELEASE": published.as_uri()}
    done = subprocess.run(
        ["/bin/sh", "-c", install_line()], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    installed = home / ".local" / "bin" / "agentvm"
    assert (done.returncode == 0, installed.exists()) == (not spoiled, not spoiled), done
    if not spoiled:
        assert start([installed, "--version"], environment).stdout == f"agentvm {__version__}\n"


@pytest.mark.parametrize("words", [("http://x.example",), ("https://x.example/",), ("a", "b"), ('https://x"y',)])
def test_an_address_that_is_none_is_refused_before_anything_is_made(words: tuple[str, ...]) -> None:
    done = start([shutil.which("python3") or "python3", ROOT / "build.py", "release", *words], dict(os.environ))
    assert done.returncode == 1
    assert "one https address" in done.stderr


def test_what_was_installed_and_used_leaves_nothing_but_empty_directories_of_everybodys(installed: Installed) -> None:
    project = installed.home / "web"
    project.mkdir()
    fake = {"AGENTVM_BACKEND": "fake"}
    for words in (("install-shims",), ("ssh-config", "--install"), ("base", "init"), ("uninstall", "--vms", "--yes")):
        done = installed.start(*words, **fake)
        assert done.returncode == 0, done
    left = {str(path.relative_to(installed.home)) for path in installed.home.rglob("*")}
    assert left == {".cache", ".local", ".local/share", ".local/state", ".ssh", "web"}
    assert f"agentvm itself is {installed.program}" in done.stderr
