"""How rows of state.db are written."""

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from podsupd.model.life import Trouble
from podsupd.model.plan import ContainerMemory, Intent, PodMemory
from podsupd.state.codec import INTENT, MEMORY, Unreadable

T = TypeVar("T")


@given(st.from_type(PodMemory))
def test_memory_round_trip(memory: PodMemory) -> None:
    """Whatever a worker remembers, it remembers the same after a restart."""
    written = MEMORY.dump(memory)
    assume(b"NaN" not in written)
    assert MEMORY.load(MEMORY.form, written) == memory


@given(st.from_type(Intent))
def test_intent_round_trip(intent: Intent) -> None:
    """Whatever an operator asked for stays asked for."""
    written = INTENT.dump(intent)
    assume(b"NaN" not in written)
    assert INTENT.load(INTENT.form, written) == intent


def test_equal_values_give_equal_bytes() -> None:
    """The order in which containers or stops came does not cost a write."""
    one = ContainerMemory(failures=1)
    assert MEMORY.dump(PodMemory({"a": one, "b": one})) == MEMORY.dump(PodMemory({"b": one, "a": one}))
    forward, backward = frozenset(["a", "b", "c"]), frozenset(["c", "b", "a"])
    assert INTENT.dump(Intent(stopped_containers=forward)) == INTENT.dump(Intent(stopped_containers=backward))


def test_text_that_utf_8_cannot_hold() -> None:
    """A message of Podman with broken characters is saved with a question mark, and the pod goes on."""
    memory = PodMemory(troubles={"": Trouble("bad \ud800 \udcff", 1, float("inf"), "b")})
    loaded = MEMORY.load(MEMORY.form, MEMORY.dump(memory))
    assert loaded.troubles[""] == Trouble("bad ? ?", 1, float("inf"), "b")


@pytest.mark.parametrize("load", [MEMORY.load, INTENT.load])
def test_another_form_is_unreadable(load: Callable[[int, bytes], T]) -> None:
    """A value of a form that this release does not know is never guessed at."""
    with pytest.raises(Unreadable, match="form 2"):
        load(2, b"{}")
