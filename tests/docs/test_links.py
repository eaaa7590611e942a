"""Every link and anchor leads somewhere. There is no network here: of addresses elsewhere, the form and the host are checked."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.named import ROOT
from tests.docs.pages import PAGES, make_slug, read_page

HOSTS = {
    "code.claude.com",
    "code.visualstudio.com",
    "developer.hashicorp.com",
    "developers.openai.com",
    "docs.docker.com",
    "docs.github.com",
    "github.com",
    "lima-vm.io",
    "semver.org",
}
"""A new one is added here by whoever has looked at it."""
IMAGES = {".svg", ".png", ".jpg", ".gif"}
OF_A_MACHINE = re.compile(r"(?<![\w~.}/])/(?:root|work|home/(?!you\b)\w+|Users/\w+|tmp/\w+|private)(?=[/\s`\"']|$)")
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


@each_page
def test_links_within_lead_somewhere(path: Path) -> None:
    page = read_page(path)
    for link in page.links:
        if "://" in link.target:
            continue
        file, _, anchor = unquote(link.target).partition("#")
        assert not file.startswith("/"), f"{link.target}: an absolute path is one machine's"
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link.target}: there is no such file"
        assert target.is_relative_to(ROOT), f"{link.target}: it leads out of the tree"
        if anchor:
            assert anchor in read_page(target).anchors, f"{link.target}: there is no such heading"


@each_page
def test_addresses_elsewhere_are_well_formed_and_of_hosts_that_somebody_looked_at(path: Path) -> None:
    page = read_page(path)
    for address in page.addresses | {link.target for link in page.links if "://" in link.target}:
        parts = urlsplit(address)
        assert parts.scheme == "https", address
        assert re.fullmatch(r"[\x21-\x7e]+", address), address
        assert not parts.query or "utm_" not in parts.query, f"{address}: it tells who sent the reader"
        assert parts.netloc in HOSTS, f"{address}: a host that is not in HOSTS"


def test_no_host_is_listed_that_no_page_names() -> None:
    assert {urlsplit(address).netloc for path in PAGES for address in read_page(path).addresses} == HOSTS


@each_page
def test_images_are_in_the_tree_and_say_what_they_show(path: Path) -> None:
    for link in read_page(path).links:
        shown = Path(link.target.partition("#")[0]).suffix in IMAGES
        assert link.image <= shown, f"{link.target}: no image"
        if shown:
            assert "://" not in link.target, f"{link.target}: whoever reads the page would ask that host"
            assert not link.image or link.text, f"{link.target}: no words for those who do not see it"


@each_page
def test_no_path_is_one_machines_own(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert OF_A_MACHINE.findall(text) == []


@each_page
def test_nothing_looks_like_a_link_and_is_none(path: Path) -> None:
    """A name in brackets without a target, or with its target elsewhere on the page, is shown as it is written."""
    prose = re.sub(r"(`+).+?\1", "", read_page(path).prose, flags=re.DOTALL)
    assert re.findall(r"\[[^\]]+\] \([^)]+\)|\[[^\]]*\]\[[^\]]*\]", prose) == []


def test_every_page_is_found_from_the_readme() -> None:
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found or page.suffix != ".md":
            continue
        found.add(page)
        targets = [link.target.partition("#")[0] for link in read_page(page).links if "://" not in link.target]
        waiting += [(page.parent / target).resolve() for target in targets if target]
    assert set(PAGES) <= found


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("The tripwire", "the-tripwire"),
        ("`agentvm base init|apply`", "agentvm-base-initapply"),
        ("~/.claude.json", "claudejson"),
        ("Clean up, and [leave](x.md)", "clean-up-and-leave"),
        ("Ein Größenvergleich", "ein-größenvergleich"),
        ("a_b - c", "a_b---c"),
    ],
)
def test_anchors_are_made_as_github_makes_them(heading: str, slug: str) -> None:
    assert make_slug(heading) == slug


def test_a_heading_that_comes_again_is_counted(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n## A\n## A-1\n```\n# A\n```\n## A\n")
    assert read_page(page).anchors == ["a", "a-1", "a-1-1", "a-2"]
