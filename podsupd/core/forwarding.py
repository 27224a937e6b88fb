"""Whether a signal that a container's process got is sent on, and to whom: PodPolicy's signals.forward.

What was sent on is never sent on again, nor is what follows from it; a chain of signals (a process that passes its
signal on to its workers) is sent on once; and no rule sends more than LIMIT in WINDOW_S, whatever happens.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from podsupd.core import signal_words as words
from podsupd.core.drafts import Draft
from podsupd.model.sending import Purpose
from podsupd.model.signal_policy import ForwardRule, ForwardTarget

LIMIT = 20
WINDOW_S = 10.0
CHAINS_KEPT = 1024

Key = tuple[str, ForwardRule]


@dataclass(frozen=True, slots=True)
class Order:
    """A signal to send on from ``cause``."""

    cause: Draft
    rule: ForwardRule
    to: ForwardTarget


@dataclass(frozen=True, slots=True)
class Decision:
    """Signals to send, and the rules that had to hold back the first one now."""

    orders: tuple[Order, ...] = ()
    held_back: tuple[ForwardRule, ...] = ()


class Forwarding:
    """Remembers what was sent on, by pod and rule."""

    def __init__(self) -> None:
        self._chains: OrderedDict[tuple[Key, int], None] = OrderedDict()
        self._sent: dict[Key, deque[int]] = {}
        self._held: set[Key] = set()

    def decide(self, pod: str, got: Draft, rules: Iterable[ForwardRule]) -> Decision:
        """Say what is to be sent on from a signal that was just sent to a process of the pod.

        Signals that the process ignores, or that the kernel drops since one is queued already, it does not get.
        """
        forwarded = got.watch is not None and got.watch.purpose == Purpose.FORWARD
        if got.result != "delivered" or forwarded:
            return Decision()
        orders: list[Order] = []
        held: list[ForwardRule] = []
        for rule in rules:
            if (rule.container, words.parse(rule.signal)) != (got.target.container, got.number):
                continue
            key = (pod, rule)
            if (key, got.root) in self._chains:
                continue
            if self._limited(key, got.at):
                if key not in self._held:
                    held.append(rule)
                    self._held.add(key)
                continue
            self._held.discard(key)
            self._chains[key, got.root] = None
            if len(self._chains) > CHAINS_KEPT:
                self._chains.popitem(last=False)
            orders += [Order(got, rule, to) for to in rule.to]
        return Decision(tuple(orders), tuple(held))

    def _limited(self, key: Key, at: int) -> bool:
        sent = self._sent.setdefault(key, deque())
        while sent and at - sent[0] >= WINDOW_S * 1e9:
            sent.popleft()
        if len(sent) >= LIMIT:
            return True
        sent.append(at)
        return False

    def forget(self, pods: Iterable[str]) -> None:
        """Drop what is known of pods that are not among these."""
        kept = set(pods)
        for key in [k for k in self._sent if k[0] not in kept]:
            del self._sent[key]
            self._held.discard(key)
