"""Sign-symmetry: the error goes back through the signs of the current weights (Liao et al. 2016).

    ntkalign verify --plugin examples/sign_symmetry.py --rules sign-symmetry \
        --claims proposition-2 --widths 64,128,256

Weights are N(0, 1), so that √(2/π) sign(W) is the multiple of the signs that is nearest to W. Of
what W carries back the signs keep a part, at every width alike: nothing here makes the rule tend to
gradient descent, and the run will say whether it does. Signs are no product with W, so the rule
runs on the dense engine: widths of some hundreds.
"""

import math

import jax.numpy as jnp

from ntkalign import Rule, backpropagate, current_activity, register


def through_signs(now, start, fixed, e):
    """The chain rule with √(2/π) sign(W) in the place of W."""
    scale = math.sqrt(2 / math.pi)
    signs = tuple(None if w is None else scale * jnp.sign(w) for w in now.weights)
    return backpropagate(weights=signs, slopes=now, error=e)


SIGN_SYMMETRY = Rule("sign-symmetry", through_signs, current_activity, title="Sign-symmetry")
register(SIGN_SYMMETRY)
