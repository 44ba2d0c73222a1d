"""ntkalign: does what a paper proves for infinitely wide networks hold, at the stated rate?

    networks → rules → flow → measurements → rates → claims → report

Importing this package switches JAX to float64, in which all claims are measured, and its float32
products to full precision, which some GPUs would cut.
"""

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_default_matmul_precision", "highest")

from ntkalign.errors import IncompleteRunError, InputError  # noqa: E402
from ntkalign.flow.gradient_flow import Flow, Outcome, gradient_flow  # noqa: E402
from ntkalign.networks.activations import ACTIVATIONS, Activation  # noqa: E402
from ntkalign.networks.fully_connected import Family, Network, backpropagate  # noqa: E402
from ntkalign.rules import RULES, Rule, current_activity, initial_activity  # noqa: E402
from ntkalign.runs.record import Verification  # noqa: E402
from ntkalign.runs.settings import Settings  # noqa: E402
from ntkalign.runs.verify import verify  # noqa: E402
from ntkalign.statistics.rates import Rate, fit  # noqa: E402
from ntkalign.version import __version__  # noqa: E402

__all__ = [
    "ACTIVATIONS",
    "RULES",
    "Activation",
    "Family",
    "Flow",
    "IncompleteRunError",
    "InputError",
    "Network",
    "Outcome",
    "Rate",
    "Rule",
    "Settings",
    "Verification",
    "__version__",
    "backpropagate",
    "current_activity",
    "fit",
    "gradient_flow",
    "initial_activity",
    "verify",
]
