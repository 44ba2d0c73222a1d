"""Every claim by its id: the paper's, those about kernels, steps of proofs, and a user's own.

An id mostly stands for one statement, and sometimes for two about different quantities. Which
command asks about a claim follows from its quantity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ntkalign.claims.claim import Claim
from ntkalign.claims.kernels import KERNEL_CLAIMS
from ntkalign.claims.proof import PROOF_CLAIMS
from ntkalign.claims.theory import THEORY_CLAIMS
from ntkalign.claims.tied_weights import CONVOLUTIONAL_CLAIMS, RECURRENT_CLAIMS
from ntkalign.errors import InputError
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import VERIFY
from ntkalign.registry import Registry


@dataclass(frozen=True)
class Entry:
    """What an id stands for.

    Attributes:
        name: the id.
        claims: its statements.
        command: which command measures their quantities.
        network: of which kind of network they speak.
    """

    name: str
    claims: tuple[Claim, ...]
    command: str
    network: str = "mlp"


CLAIMS: Registry[Entry] = Registry("claim")


def register(*claims: Claim) -> None:
    """Add claims of one's own, whose quantities are registered; runs ask about them by default.

    Args:
        claims: all statements of an id are given at once.

    Raises:
        InputError: if an id is taken, or a quantity unknown.
    """
    for id in dict.fromkeys(claim.id for claim in claims):
        own = tuple(replace(claim) for claim in claims if claim.id == id)  # knows its quantity now
        quantities = [QUANTITIES.lookup(claim.quantity, "quantity") for claim in own]
        commands, names = {q.command for q in quantities}, {q.name for q in quantities}
        networks = {claim.network for claim in own}
        if len(commands) > 1 or len(networks) > 1 or len(names) < len(own):
            raise InputError(
                "claim", id,
                must="have statements about different quantities of one command and network",
                got=", ".join(claim.quantity for claim in own),
                because="findings are kept by id and quantity", do="give them different ids",
            )  # fmt: skip
        CLAIMS.register(Entry(id, own, quantities[0].command, own[0].network))


def choose(
    ids: Iterable[str] = (), command: str = VERIFY, network: str = "mlp"
) -> tuple[Claim, ...]:
    """The claims of these ids, in the catalogue's order; all of the command's if there are none.

    Args:
        ids: of claims; a text holds several with commas between.
        command: which command is to ask about them.
        network: of which kind of network.

    Returns:
        Each claim once, however often its id is given; an id may stand for several.

    Raises:
        InputError: if an id is unknown, or another command's or network's.
    """
    given = ids.split(",") if isinstance(ids, str) else list(ids)
    wanted = [id.strip() for id in given if id.strip()]
    for id in wanted:
        entry = CLAIMS.lookup(id, "claims")
        if entry.command != command:
            raise InputError(
                "claims", id, must=f"be measured by ntkalign {command}",
                got=f"one that ntkalign {entry.command} measures",
                because="the two commands train networks on different points",
                do=f"leave it out here and pass it to ntkalign {entry.command}",
            )  # fmt: skip
        if entry.network != network:
            raise InputError(
                "claims", id, must=f"speak of network {network}", got=f"one about {entry.network}",
                because="each kind of network has its own",
                do=f"leave it out, or pass network {entry.network}",
            )  # fmt: skip
    return tuple(
        claim
        for entry in CLAIMS.values()
        if (entry.command, entry.network) == (command, network)
        and (entry.name in wanted or not wanted)
        for claim in entry.claims
    )


register(*THEORY_CLAIMS, *RECURRENT_CLAIMS, *CONVOLUTIONAL_CLAIMS, *KERNEL_CLAIMS, *PROOF_CLAIMS)
OURS = frozenset(CLAIMS)
"""Ids of the paper's claims and those about kernels; what is registered later is somebody's own."""
