"""(h) A soak: accidents of every kind, drawn from a seed, and after every dozen of them a look whether all is right.

``--minutes`` long (20 by default), ``--seed`` names the sequence. Right means, by podman-py: each pod is as its file
says (one whose file is broken, as the file said last); what belongs to somebody else, and a pod whose file never
changes, has not been touched; the daemon calls all of it Ready; and nothing is left of what is gone. The daemon is
ended again and again in the first part; the rest is one life, whose use of memory and the like is compared from its
middle to its end. ``actions.jsonl`` has each accident, what came of it, and each checkpoint.
"""

from bench.soak.scenario import name, run

__all__ = ["name", "run"]
