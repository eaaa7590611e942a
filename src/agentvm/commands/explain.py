"""`agentvm help`: a command, a topic, or the manual."""

from __future__ import annotations

from agentvm.commands.arguments import parse
from agentvm.commands.layout import lay_out
from agentvm.commands.pages import find_page
from agentvm.console import Console


def explain(console: Console, arguments: tuple[str, ...]) -> int:
    options = parse("help", arguments)
    if options.man:
        from agentvm.commands.manual import manual

        console.product(manual().rstrip("\n"))
    else:
        console.product(lay_out(find_page(tuple(filter(None, (options.page, options.part)))), console.width()))
    return 0
