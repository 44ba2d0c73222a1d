"""The paper's equations as plain loops over data points, layers and matrices of full size.

Nothing here is fast, and nothing is shared with the package: ``parameters`` is a list of (W, b).
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np


def forward(parameters, sigma, x):
    """Equation (1) for one point: (z_0 … z_N) with σ(z_0) = x, and the activities."""
    z, h = [None], [x]
    for l, (w, b) in enumerate(parameters, start=1):
        z.append(w @ h[l - 1] / np.sqrt(w.shape[1]) + b)
        h.append(np.asarray(sigma(jnp.asarray(z[l]))))
    return z, h


def jacobians(parameters, slope, z):
    """∇_{z_l} f(x) for l = 1…N (item 0 is None), each m_l × C, by the chain rule of (1)."""
    depth = len(parameters)
    g = [None] * (depth + 1)
    g[depth] = np.eye(len(z[depth]))
    for l in range(depth - 1, 0, -1):
        w, _ = parameters[l]  # W_{l+1}
        g[l] = np.diag(np.asarray(slope(jnp.asarray(z[l])))) @ w.T @ g[l + 1] / np.sqrt(w.shape[1])
    return g


def velocity(feedback, activity, errors):
    """dW_l/dt and db_l/dt, η = 1, as the mean over points of feedback_l e activity_{l−1}ᵀ.

    ``feedback[i][l]`` is m_l × C, ``activity[i][l − 1]`` has m_{l−1} entries, ``errors[i]`` C.

    Returns:
        Pairs (dW_l/dt, db_l/dt).
    """
    depth, points = len(feedback[0]) - 1, len(errors)
    moves = []
    for l in range(1, depth + 1):
        fan_in = len(activity[0][l - 1])
        dw = sum(np.outer(feedback[i][l] @ errors[i], activity[i][l - 1]) for i in range(points))
        db = sum(feedback[i][l] @ errors[i] for i in range(points))
        moves.append((dw / points / np.sqrt(fan_in), db / points))
    return moves


def full_jacobian(feedback, activity):
    """∇_θ f(x), (number of parameters) × C, from one point's feedback and activities."""
    blocks = []
    for l in range(1, len(feedback)):
        h = activity[l - 1]
        g = feedback[l]
        per_output = [np.outer(g[:, c], h).ravel() / np.sqrt(len(h)) for c in range(g.shape[1])]
        blocks += [np.stack(per_output, axis=1), g]
    return np.concatenate(blocks)


def sigma_over_m(gamma_feedback, activity, delta, layer):
    """Σ_l/m_{l−1} from (3), (6) and (7): a double sum over points."""
    points, fan_in = len(delta), len(activity[0][layer - 1])
    total = np.zeros((fan_in, fan_in))
    for i in range(points):
        for j in range(points):
            gamma = gamma_feedback[i][layer].T @ gamma_feedback[j][layer]  # (6)
            q = delta[i] @ gamma @ delta[j]  # (7)
            total += np.outer(activity[i][layer - 1], activity[j][layer - 1]) * q
    return total / points**2 / fan_in


def alignment_score(delta_matrix, sigma_matrix):
    """Equation (9)."""
    return np.trace(delta_matrix @ sigma_matrix) / np.sqrt(
        np.trace(delta_matrix @ delta_matrix) * np.trace(sigma_matrix @ sigma_matrix)
    )
