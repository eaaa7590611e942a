"""What a command gets to work with."""

from __future__ import annotations

from agentvm.console import Console
from agentvm.model import Host
from agentvm.settings import Settings
from agentvm.state import State
from agentvm.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentvm.backend import Backend


class Context(NamedTuple):
    """The world of one command line."""

    host: Host
    settings: Settings
    backend: Backend
    state: State
    console: Console
    dry_run: bool = False

    @property
    def prefix(self) -> str:
        return str(self.settings.instance_prefix)

    def rehearse(self) -> Context:
        """The same, for a dry run."""
        return self._replace(dry_run=True, state=self.state.rehearsal())
