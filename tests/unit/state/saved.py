"""One of everything that state.db keeps."""

from pathlib import Path

from podsupd.model.observed import Incarnation
from podsupd.model.plan import ContainerMemory, Death, Intent, PodMemory
from podsupd.state import StateDb

DEATH = Death(Incarnation("c" * 64, "2026-01-01T00:00:00Z"), 137, "SIGKILL", "Error", "killed", 1.5, 2.5)
MEMORY = PodMemory(containers={"web": ContainerMemory(failures=3, restarts=7, last_death=DEATH)})
INTENT = Intent(stopped=True, stopped_containers=frozenset({"b", "a"}), container_restarts={"a": 2})


async def saved(directory: Path) -> None:
    """Write one of everything and close."""
    db = StateDb(str(directory))
    await db.load()
    await db.save_memory("web", MEMORY)
    await db.save_intent("web", INTENT)
    await db.save_expectations("web", "expected")
    await db.save_files({"/etc/pods/web.yaml": "kind: Pod\n"}, (7, 8))
    await db.close()
