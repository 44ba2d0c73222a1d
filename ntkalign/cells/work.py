"""One network's work as a job: whatever goes wrong in it becomes rows, or one line.

A network that does not fit into memory is a labelled row, and the others go on. An error of the
user's own part ends the run, and says whose part it is and where.
"""

from __future__ import annotations

import jax

from ntkalign.cells.cell import Needs, Row, could_not_run
from ntkalign.cells.specification import Measure, Specification
from ntkalign.errors import InputError, raised_in, said_by
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.precision import in_float64
from ntkalign.programs import tidy
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.rules import RULES

COULD_NOT_RUN = "could not run"
"""How the status of a network begins that is not measured; the next run tries it again."""


@in_float64  # worker threads have JAX's flags of the process
def measured(measure: Measure, specification: Specification, needs: Needs) -> list[Row]:
    """Measure one network.

    Args:
        measure: how.
        specification: of the network.
        needs: quantities by rule.

    Returns:
        Its rows.

    Raises:
        InputError: if a part of the user's own cannot run on it.
    """
    try:
        return measure(specification, needs)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        return not_measured(specification, needs, str(error) or "out of memory")
    except (Exception, SystemExit) as error:
        raise of_ones_own(error, specification.family.activation, needs) from error
    finally:
        tidy()


def not_measured(specification: Specification, needs: Needs, reason: str) -> list[Row]:
    """Rows for a network that could not be measured.

    Args:
        specification: of the network.
        needs: what was wanted of it.
        reason: why, in any number of lines.

    Returns:
        A row for each number that there is not.
    """
    reason = "".join(c if c.isprintable() else "?" for c in " ".join(reason.split())[:120])
    status = f"{COULD_NOT_RUN}: {reason}"
    return could_not_run(specification.cell, needs, specification.family.depth, status)


def of_ones_own(error: BaseException, activation: Activation, needs: Needs) -> BaseException:
    """An error of the user's own code in one line; any other as it is.

    Args:
        error: what was raised while a network was computed.
        activation: of the network.
        needs: what was measured of it.

    Returns:
        What is to be raised.
    """
    names = [f"rule {rule.name}" for rule in needs if not RULES.is_built_in(rule)]
    quantities = {q for own in needs.values() for q in own}
    names += [
        f"quantity {q}" for q in sorted(quantities) if not QUANTITIES.is_built_in(QUANTITIES.get(q))
    ]
    if not ACTIVATIONS.is_built_in(activation):
        names.append(f"activation {activation.name}")
    place = raised_in(error)
    if isinstance(error, InputError) or not names:
        return error
    said = " ".join(f"{type(error).__name__}: {said_by(error)}".split())
    return InputError(
        "part", ", ".join(names), must="run on the networks of this run",
        got=said + (f" ({place})" if place else ""),
        because="it is called with passes of them",
        do="run ntkalign.testing.check_rule (or check_quantity) on it, which says what to mend",
    )  # fmt: skip
