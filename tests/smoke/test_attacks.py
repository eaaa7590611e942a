"""Root in a guest is hostile: what it tried on a real VM, and what became of it on the host. One boot.

The tests are stages of one story and stand in its order. After each, nothing of the user's home outside the places that
guests may write is changed, and no secret of hers is in the guest.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.world import wait_for
from tests.smoke.computer import Computer, program
from tests.smoke.victim import LIMIT, Victim
from tests.tables import Record

pytestmark = pytest.mark.attacks
GIGABYTE = 2**30
PORTS = range(21000, 21200)
GARBAGE = r"\033]0;owned\007\033[2J\033]52;c;b3duZWQ=\007\r\nagentvm: all is well\233 31m"


@pytest.fixture(scope="module")
def victim(computer: Computer, base: str) -> Iterator[Victim]:
    """With her project's VM, which runs and is hostile."""
    victim = Victim(computer)
    try:
        yield victim
    finally:
        victim.computer.run(victim.project, "rm", "--force")


@pytest.fixture(autouse=True)
def unharmed(victim: Victim) -> Iterator[None]:
    yield
    victim.check()


def look(victim: Victim) -> str:
    """All that agentvm tells of this VM, and a session; what it said."""
    said = ""
    for words in (("status",), ("list",), ("doctor",)):
        done = victim.run(*words)
        assert done.status in (0, 1), done
        said += done.err
    victim.run("shell", "--", "true", status=0)
    return said


AGENTS = (("codex", "--version"), ("claude", "--version"), ("opencode", "--version"))

LINKS = """\
import os, pathlib
project, home = pathlib.Path({project!r}), pathlib.Path({home!r})
links = {{
    project / '.mcp.json': 'private/settings.json',
    project / '.claude': 'private',
    project / '.codex': 'private',
    project / 'opencode.json': 'private/settings.json',
    home / '.claude/settings.json': 'private/settings.json',
    home / '.claude/.credentials.json': 'private/secret',
    home / '.codex/config.toml': 'private/config.toml',
    home / '.codex/auth.json': 'private/secret',
    home / '.config/opencode/opencode.json': 'private/settings.json',
    home / '.local/share/agentvm/opencode/auth.json': 'private/secret',
}}
for link, target in links.items():
    link.unlink(missing_ok=True)
    link.symlink_to(home / target)
config = project / '.git/config'
config.write_text(config.read_text() + '[include]\\n\\tpath = ' + str(home / '.pypirc') + '\\n')
"""


def test_links_to_the_hosts_files(victim: Victim, record: Record) -> None:
    victim.attack(LINKS.format(project=str(victim.project), home=str(victim.home)))
    said = look(victim)
    for words in AGENTS:
        victim.run(*words, status=127)
    assert "settings.json is a link" in said
    for path in (".claude", ".codex", ".mcp.json", "opencode.json"):
        (victim.project / path).unlink()
    for path in (".claude/settings.json", ".claude/.credentials.json", ".codex/config.toml", ".codex/auth.json"):
        (victim.home / path).unlink()
    (victim.home / ".config/opencode/opencode.json").unlink()
    record(
        "links in all shared directories to a secret of the host's", "none was followed; doctor names them", tried=11
    )


DIRECTORY_LINKS = """\
import os, pathlib, shutil
project = pathlib.Path({project!r})
shutil.rmtree(project / 'codex')
(project / 'codex').symlink_to({target!r})
(project / 'gitconfig').unlink()
(project / 'gitconfig').symlink_to({ini!r})
"""


def test_links_where_the_users_own_lead_into_the_project(victim: Victim, record: Record) -> None:
    """Her dotfiles are the project: what ~/.gitconfig and $CODEX_HOME name is in it."""
    own = (victim.home / ".gitconfig").read_text()
    (victim.project / "codex").mkdir()
    (victim.project / "gitconfig").write_text(own)
    (victim.home / ".gitconfig").unlink()
    (victim.home / ".gitconfig").symlink_to(victim.project / "gitconfig")
    target = str(victim.home / "private")
    victim.attack(DIRECTORY_LINKS.format(project=str(victim.project), target=target, ini=str(victim.ini)))
    moved = {"CODEX_HOME": str(victim.project / "codex")}
    refused = victim.run("shell", "--", "true", status=2, **moved)
    assert "is a link, which a VM could have made" in refused.err
    assert "is not copied into the VM" in victim.run("shell", "--", "true", status=0).err
    assert victim.run("shell", "--", "cat", f"{target}/secret").status != 0
    (victim.home / ".gitconfig").unlink()
    victim.write(".gitconfig", own)
    record("a directory and a file of the user's, by her own link in the project, became links", "refused, and said", 2)


BAD = """\
import os, pathlib
def sparse(path): path.write_bytes(b'') or os.truncate(path, {size})
def pipe(path): os.mkfifo(path)
def deep_json(path): path.write_text('[' * 200_000)
def slow_toml(path): path.write_text('[' + '.'.join('a' * 15_000) + ']\\n' + ''.join(f'k{{n}} = 1\\n' for n in range(2000)))
def noise(path): path.write_bytes(os.urandom(100_000))
for path, make in {made}:
    path = pathlib.Path(path)
    path.exists() and path.unlink()
    make(path)
"""
FILES = {
    ".claude/settings.json": ("sparse", "pipe", "deep_json"),
    ".codex/config.toml": ("pipe", "sparse", "slow_toml"),
    "house/.git/config": ("noise", "sparse", "pipe"),
}


def test_files_that_are_huge_or_malformed_or_never_end(victim: Victim, record: Record) -> None:
    config = (victim.project / ".git/config").read_bytes()
    for kinds in zip(*FILES.values(), strict=True):
        made = ", ".join(f"({str(victim.home / path)!r}, {kind})" for path, kind in zip(FILES, kinds, strict=True))
        victim.attack(BAD.format(made=f"[{made}]", size=GIGABYTE))
        victim.run("doctor")
        victim.run("codex", "--version", status=127)
    for path in FILES:
        (victim.home / path).unlink()
    (victim.project / ".git/config").write_bytes(config)
    tried = sum(map(len, FILES.values()))
    record("1 GiB, a pipe, noise and nesting where agentvm reads", "a notice, and it went on", tried=tried)


SWAP = """\
import pathlib
project = pathlib.Path({project!r})
for name in ('.claude', '.codex'):
    (project / name).mkdir(exist_ok=True)
    (project / name / 'settings.json').write_text('{{}}')
    (project / name / 'config.toml').write_text('')
    (project / (name + '-link')).symlink_to({target!r})
import os
def swap():
    for name in ('.claude', '.codex'):
        os.rename(project / name, project / (name + '-dir'))
        os.rename(project / (name + '-link'), project / name)
        os.rename(project / name, project / (name + '-link'))
        os.rename(project / (name + '-dir'), project / name)
"""


def test_directories_are_swapped_for_links_while_it_works(victim: Victim, record: Record) -> None:
    do = SWAP.format(project=str(victim.project), target=str(victim.home / "private"))
    with victim.lasting(do, meanwhile="until = time.monotonic() + 2\nwhile time.monotonic() < until: swap()"):
        for _ in range(5):
            victim.run("doctor")
            victim.run("shell", "--", "true", status=0)
    record("a directory and a link changed places without end", "nothing behind the link was read", tried=10)


PLANT = """\
import os, pathlib
project, owned = pathlib.Path({project!r}), {owned!r}
text = '#!/bin/sh\\ntouch ' + owned + '\\n'
for place in ('bin', '.git/hooks'):
    (project / place).mkdir(exist_ok=True)
    for name in ('git', 'gh', 'ssh', 'limactl', 'ssh-add', 'qemu-img', 'post-checkout', 'pre-commit', 'reference-transaction'):
        (project / place / name).write_text(text)
        (project / place / name).chmod(0o755)
program = str(project / 'bin/git')
keys = ('core.fsmonitor', 'core.pager', 'core.editor', 'core.sshCommand', 'core.gitProxy', 'core.askPass', 'diff.external',
        'pager.config', 'alias.config', 'credential.helper', 'gpg.program', 'sequence.editor', 'trace2.eventTarget')
config = project / '.git/config'
with config.open('a') as file:
    for key in keys:
        section, name = key.split('.')
        file.write('[%s]\\n\\t%s = %s\\n' % (section, name, owned if section == 'trace2' else program))
    file.write('[core]\\n\\thooksPath = ' + str(project / '.git/hooks') + '\\n')
    file.write('[alias]\\n\\tconfig = !' + program + '\\n')
"""


def test_programs_for_the_host_to_start(victim: Victim, record: Record) -> None:
    owned = victim.home / "owned"
    config = (victim.project / ".git/config").read_bytes()
    victim.attack(PLANT.format(project=str(victim.project), owned=str(owned)))
    path = f"{victim.project}/bin:bin:{victim.computer.environment['PATH']}:"
    for words in (("status",), ("list",), ("shell", "--", "true")):
        victim.run(*words, status=0, PATH=path)
    said = victim.run("doctor", PATH=path).err
    assert f"{victim.project}/bin is on your PATH" in said
    assert not owned.exists()
    (victim.project / ".git/config").write_bytes(config)
    record("hooks, settings of git and programs on a PATH of the project's", "none was started", tried=24)


TAMPER = """\
import os, pathlib, pwd, shutil
home = pathlib.Path(pwd.getpwuid(int(os.environ['SUDO_UID'])).pw_dir)
state = home / '.local/state/agentvm'
shutil.rmtree(state, ignore_errors=True)
if state.is_symlink() or state.is_file():
    state.unlink()
{how}
bin = home / '.local/bin'
bin.mkdir(parents=True, exist_ok=True)
for name in ('claude', 'codex', 'opencode'):
    (bin / name).write_text("#!/bin/sh\\nprintf '{garbage}'; exec head -c 300000 /dev/urandom\\n")
    (bin / name).chmod(0o755)
"""
MARKS = {
    "a file": "state.parent.mkdir(parents=True, exist_ok=True); state.write_text('x')",
    "a link": "state.symlink_to('/proc/self')",
    "noise": """
for place in ('proved/claude', 'proved/codex', 'synced/.gitconfig', 'seeded/claude.json.sum', 'locales', 'run/x'):
    (state / place).parent.mkdir(parents=True, exist_ok=True)
    (state / place).write_bytes(os.urandom(100000))
""",
}


def test_marks_and_versions_in_the_guest_are_forged(victim: Victim, record: Record) -> None:
    for how in MARKS.values():
        victim.attack(TAMPER.format(how=how, garbage=GARBAGE))
        victim.run("status", status=0)
        victim.run("doctor")
        victim.run("shell", "--", "true")
    victim.attack(TAMPER.format(how="pass", garbage="") + "shutil.rmtree(bin)")
    look(victim)
    record(
        "agentvm's marks and the agents' versions in the guest, forged", "printed clean, or left out", tried=len(MARKS)
    )


READ_ONLY = """\
import pathlib, subprocess
place = {place!r}
done = subprocess.run(['mount', '-o', 'remount,rw', place], capture_output=True)
try:
    pathlib.Path(place, 'from-guest').write_text('x')
    print('written')
except OSError as problem:
    print('refused')
"""


def test_a_read_only_mount_is_remounted(victim: Victim, record: Record) -> None:
    """By virtiofs a guest's root can write there, which SECURITY.md says; by 9p QEMU itself refuses."""
    kind = victim.attack(
        f"print([line.split()[2] for line in open('/proc/mounts') if '{victim.home}/.config/gh' in line][0])"
    )
    answer = victim.attack(READ_ONLY.format(place=str(victim.home / ".config/gh")))
    made = victim.home / ".config/gh/from-guest"
    assert (answer, made.exists()) == (("refused", False) if kind == "9p" else ("written", True))
    made.unlink(missing_ok=True)
    record(f"a read-only mount, made writable by remounting ({kind})", "refused" if kind == "9p" else "as documented")


def test_the_disk_is_full(victim: Victim, record: Record) -> None:
    fill = "import os, shutil\nopen('/var/fill', 'w')\nfree = shutil.disk_usage('/var').free\n"
    do = f"{fill}os.system(f'fallocate -l {{free - 4096}} /var/fill; cat /dev/zero >/var/rest 2>/dev/null; cat /dev/zero >/home/rest')"
    with victim.lasting(do, undo="os.system('rm -f /var/fill /var/rest /home/rest')"):
        look(victim)
    record("the guest's disk was filled", "sessions still start")


LISTEN = """\
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
sockets = []
def listen():
    for port in range({first}, {last}):
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(('127.0.0.1', port))
        found.listen()
        sockets.append(found)
def close():
    while sockets: sockets.pop().close()
"""


def test_ports_without_end(victim: Victim, record: Record) -> None:
    """Each makes an event in Lima's log; one of them is a port at which a service of the host's listens already."""
    with socket.create_server(("127.0.0.1", PORTS[0])) as own:
        do = LISTEN.format(first=PORTS.start, last=PORTS.stop)
        with victim.lasting(do, meanwhile="listen()\ntime.sleep(4)\nclose()\ntime.sleep(1)", undo="close()"):
            look(victim)
            with socket.create_connection(("127.0.0.1", PORTS[0])), own.accept()[0]:
                pass
    record(f"{len(PORTS)} ports opened and closed again and again", "answered; the host's own service kept its port")


def test_another_host_name_and_other_keys(victim: Victim, record: Record) -> None:
    do = "os.system('rm -f /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl restart ssh; hostname owned-$(printf evil)')"
    victim.attack(f"import os\n{do}")
    look(victim)
    record("another host name and other host keys", "of no effect: neither is trusted")


SHELL = """\
import shutil
sh = os.path.realpath('/bin/sh')
shutil.copy2(sh, '/var/tmp/sh')
text = '#!/usr/bin/python3\\nimport os, time\\nos.write(1, b"{garbage}\\\\n")\\n' + {then!r} + '\\n'
open('/var/tmp/evil', 'w').write(text)
os.chmod('/var/tmp/evil', 0o755)
os.rename('/bin/sh', '/var/tmp/link') if os.path.islink('/bin/sh') else None
os.symlink('/var/tmp/evil', '/bin/sh')
"""
RESTORE = "os.unlink('/bin/sh')\nos.rename('/var/tmp/link', '/bin/sh')"
SHELLS = {
    "garbage, then the end": "os._exit(0)",
    "without end": "while True: os.write(1, os.urandom(65536))",
    "a byte now and then": "while True: os.write(1, b'x'); time.sleep(0.5)",
    "never": "time.sleep(3600)",
}


@pytest.mark.parametrize("kind", SHELLS)
def test_a_shell_that_answers_otherwise(victim: Victim, record: Record, kind: str) -> None:
    with victim.lasting(SHELL.format(garbage=GARBAGE.replace("\\", "\\\\"), then=SHELLS[kind]), undo=RESTORE):
        victim.run("status", status=0)
        victim.run("list", status=0)
        interrupt(victim)
    victim.run("shell", "--", "true", status=0)
    record(f"/bin/sh answers: {kind}", "status in its time, and a session ends with Ctrl-C")


def interrupt(victim: Victim) -> None:
    """A session that may hang ends, if not by itself, when the user has enough of it."""
    with subprocess.Popen(
        [*program(), "shell", "--", "true"],
        cwd=victim.project,
        env=victim.computer.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as session:
        try:
            session.wait(8)
        except subprocess.TimeoutExpired:
            os.kill(session.pid, signal.SIGINT)
        session.wait(LIMIT)


def test_a_profile_that_sleeps(victim: Victim, record: Record) -> None:
    write = "open('/etc/bash.bashrc', 'r+').write('sleep infinity\\n')"
    keep = "import shutil\nshutil.copy2('/etc/bash.bashrc', '/var/tmp/bashrc')"
    undo = "shutil.copy2('/var/tmp/bashrc', '/etc/bash.bashrc')"
    with victim.lasting(f"{keep}\n{write}", undo=undo):
        victim.run("status", status=0)
        interrupt(victim)
    victim.run("shell", "--", "true", status=0)
    record("a shell profile that sleeps for ever", "status in its time, and a session ends with Ctrl-C")


def test_sessions_are_exhausted(victim: Victim, record: Record) -> None:
    """sshd takes none any more on a connection: not by the shared one, nor by a new one."""
    config = "/etc/ssh/sshd_config.d/00-agentvm.conf"
    kill = "os.system('systemctl restart ssh; pkill -f \"[s]shd: .*@\"')"
    do = f"os.system('cp {config} /var/tmp/; sed -i s/MaxSessions.*/MaxSessions\\\\ 0/ {config}')\n{kill}"
    with victim.lasting(do, undo=f"os.system('cp /var/tmp/00-agentvm.conf {config}')\n{kill}"):
        said = victim.run("shell", "--", "true")
    assert said.status != 0
    assert said.err
    victim.run("shell", "--", "true", status=0)
    record("sshd takes no session any more", f"said so: {said.err.splitlines()[0][:80]}")


@pytest.mark.parametrize(("how", "undo"), [("stopped", "CONT"), ("ended", "")])
def test_sshd_is_stopped_or_ended(victim: Victim, record: Record, how: str, undo: str) -> None:
    if how == "stopped":
        do, back = "os.system('pkill -STOP sshd')", "os.system('pkill -CONT sshd')"
    else:
        do, back = "os.system('systemctl stop ssh ssh.socket; pkill sshd')", "os.system('systemctl start ssh')"
    with victim.lasting(do, undo=back):
        victim.run("list", status=0)
        said = victim.run("shell", "--", "true")
    assert said.status != 0
    assert said.err
    victim.run("shell", "--", "true", status=0)
    record(f"sshd is {how}", f"said so: {said.err.splitlines()[-1].strip()[:80]}")


def test_the_guest_powers_itself_off(victim: Victim, record: Record) -> None:
    victim.run("shell", "--", "sudo", "-n", "systemctl", "poweroff")
    wait_for(lambda: b"stopped" in victim.run("status", status=0).out, LIMIT)
    victim.is_off = True
    record("the guest powers itself off", "status tells")
