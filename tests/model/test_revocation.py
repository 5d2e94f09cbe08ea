"""The revocation protocol, explored completely: the design holds, and each known wrong one is found."""

from pathlib import Path

import pytest
from support.spin import visited

MODEL = Path(__file__).with_name("revocation.pml")
ACCEPTED_AFTERWARDS = "!(began_after_confirmed)"

HOLDS = {
    "two replicas, one acknowledges": (),
    "two replicas, a lease of two ticks": ("L=2",),
    "two replicas, a node that is new": ("NEW_NODE",),
    "one replica, which acknowledges": ("K=1", "N=1", "OTHERS=1"),
    "two replicas that both acknowledge, and switch whenever they like": ("N=2", "LATE_SWITCH"),
}

WRONG = {
    "a lease renewed by a read": ("RENEWED_BY_READ",),
    "pub/sub in place of a feed that shows gaps": ("PUBSUB",),
    "no WAIT at all": ("NO_WAIT",),
    "no WAIT for revocations": ("REVOKED_WITHOUT_WAIT",),
    "no WAIT for leases": ("LEASE_WITHOUT_WAIT",),
    "WAIT on a connection that wrote nothing": ("REPEAT_WITHOUT_WRITE",),
    "a plain read without a lease": ("PLAIN_READ",),
    "a read proven by a write to another server": ("PROOF_ELSEWHERE",),
    "a read under the lease from a server of another history": ("READ_UNCHECKED",),
    "a lease counted from its answer": ("FROM_ANSWER",),
    "a read kept that a revocation overtook": ("KEEP_FILL",),
    "a renewal that outlives a new beginning": ("RESET_KEEPS_RENEWAL",),
    "replicas that acknowledge the old primary after a promotion": ("LATE_SWITCH",),
}

REACHED = {
    "a request passes by what is in memory": ("SHOW_HIT",),
    "a read is kept in memory": ("SHOW_FILLED",),
    "a read is proven without a lease": ("SHOW_PROOF",),
    "a revocation is confirmed by the node": ("SHOW_BY_ACKNOWLEDGEMENT",),
    "a revocation is confirmed by the end of a lease": ("SHOW_BY_LEASE",),
}


@pytest.mark.parametrize("defines", HOLDS.values(), ids=HOLDS.keys())
def test_nothing_is_accepted_after_a_confirmation(
    spin_path: str, tmp_path: Path, defines: tuple[str, ...]
) -> None:
    found = visited(spin_path, MODEL, tmp_path, *defines)
    assert found.violated is None
    assert found.complete
    assert found.states > 100_000


@pytest.mark.parametrize("defines", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_design_is_found(spin_path: str, tmp_path: Path, defines: tuple[str, ...]) -> None:
    assert visited(spin_path, MODEL, tmp_path, *defines).violated == ACCEPTED_AFTERWARDS


@pytest.mark.parametrize("defines", REACHED.values(), ids=REACHED.keys())
def test_what_the_model_speaks_of_does_happen(
    spin_path: str, tmp_path: Path, defines: tuple[str, ...]
) -> None:
    violated = visited(spin_path, MODEL, tmp_path, *defines).violated
    assert violated is not None and violated != ACCEPTED_AFTERWARDS
