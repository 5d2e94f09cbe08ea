"""The revocation protocol, explored completely: the design holds, and each known wrong one is found."""

from pathlib import Path

import pytest
from support.spin import visited

MODEL = Path(__file__).with_name("revocation.pml")
ACCEPTED_AFTERWARDS = "!(began_after_confirmed)"

HOLDS = {
    "two replicas, one acknowledges, and a node that comes at any time": ("NEW_NODE",),
    "two replicas, a lease of two ticks": ("L=2",),
    "one replica, which acknowledges": ("K=1", "OTHERS=1"),
    "two replicas that both acknowledge, and switch whenever they like": ("N=2", "LATE_SWITCH"),
    "reads told apart by where the node is": ("READ_BY_POSITION",),
}

WRONG = {
    "a lease renewed by a read": ("RENEWED_BY_READ",),
    "pub/sub in place of a feed that shows gaps": ("PUBSUB",),
    "no WAIT at all": ("NO_WAIT",),
    "no WAIT for revocations": ("REVOKED_WITHOUT_WAIT",),
    "no WAIT for leases": ("LEASE_WITHOUT_WAIT",),
    "WAIT on a connection that wrote nothing": ("REPEAT_WITHOUT_WRITE",),
    "a revoker that counts from an attempt that came to nothing": ("FROM_FIRST_ATTEMPT",),
    "a plain read without a lease": ("PLAIN_READ",),
    "a read proven by a write to another server": ("PROOF_ELSEWHERE",),
    "a read under the lease from any server": ("NEW_NODE", "READ_UNCHECKED"),
    "a read from a replica that is the primary later": ("K=1", "NEW_NODE", "BY_PROCESS"),
    "a node that forgets who was revoked": ("FORGETFUL",),
    "a lease counted from its answer": ("FROM_ANSWER",),
    "a read kept that a revocation overtook": ("READ_BY_POSITION", "KEEP_FILL"),
    "a read kept that a new beginning overtook": ("K=1", "OTHERS=1", "READ_BY_POSITION", "RESET_KEEPS_FILL"),
    "a renewal that outlives a new beginning": ("K=1", "OTHERS=1", "RESET_KEEPS_RENEWAL"),
    "entries told apart by their number alone": ("K=1", "OTHERS=1", "BY_NUMBER"),
    "the end of the feed told by its number alone": ("OTHERS=1", "TAIL_BY_NUMBER"),
    "entries that do not name the one before": ("K=1", "OTHERS=2", "UNCHAINED"),
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
    found = visited(spin_path, MODEL, tmp_path, *defines, all_of_them=True)
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
