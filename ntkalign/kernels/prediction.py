"""What a fixed kernel predicts: gradient flow of a linear model, in closed form.

    ḟ(x) = η/P Σ_x′ Θ(x, x′) e(x′)   ⟹   e^t = exp(−η t Θ/P) e^0,   δ^t = η ∫₀ᵗ e dτ

and f^t(x) = f^0(x) + 1/P Σ_x′ Θ(x, x′) δ^t(x′) at any point. Outputs are neural-tangents'
(``predict.gradient_descent_mse``); δ, which it does not give, comes from the same eigenvalues.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntkalign.kernels.adapter import jax_defaults, load
from ntkalign.precision import in_float64


@in_float64
def predicted_outputs(
    kernel: Float[np.ndarray, "A A C C"],
    y: Float[np.ndarray | Array, "P C"],
    initial: Float[np.ndarray, "A C"],
    times: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n A C"]:
    """f^t at all A points, the first P of which are trained on.

    Args:
        kernel: Θ over all points.
        y: targets of the first P.
        initial: f^0.
        times: in units where η is 1.

    Returns:
        At each time the outputs at all points, in the order of the kernel.
    """
    points, outputs = np.shape(y)
    flat = jnp.asarray(kernel.transpose(0, 2, 1, 3).reshape((kernel.shape[0] * outputs,) * 2))
    trained = points * outputs
    start = jnp.asarray(initial).reshape(-1, 1)
    with jax_defaults():
        # every (point, output) as a point of its own: neural-tangents then divides by P C, not P
        predict = load().predict.gradient_descent_mse(
            flat[:trained, :trained], jnp.asarray(y).reshape(-1, 1)
        )
        known, new = predict(
            jnp.asarray(times) * outputs, start[:trained], start[trained:], flat[trained:, :trained]
        )
    found = np.concatenate([known, new], axis=1)
    return found.reshape(len(times), -1, outputs)


def predicted_delta(
    kernel: Float[np.ndarray, "P P C C"],
    error: Float[np.ndarray, "P C"],
    times: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n P C"]:
    """δ^t/η under the kernel of the training points, from e^0."""
    points, outputs = error.shape
    flat = kernel.transpose(0, 2, 1, 3).reshape(points * outputs, -1)
    rates, modes = np.linalg.eigh((flat + flat.T) / (2 * points))
    rates = np.where(np.abs(rates) < 1e-14 * np.abs(rates).max(), 0.0, rates)
    t = np.asarray(times)[:, None]
    safe = np.where(rates == 0, 1.0, rates)
    growth = np.where(rates == 0, t, -np.expm1(-t * rates) / safe)
    return ((growth * (modes.T @ error.ravel())) @ modes.T).reshape(len(t), points, outputs)


def weighted(
    backward: Float[np.ndarray, "P P C C"], delta: Float[np.ndarray, "P C"]
) -> Float[np.ndarray, "P P"]:
    """q_l = δᵀ Γ_l δ, (7)."""
    return np.asarray(np.einsum("xc,xycd,yd->xy", delta, backward, delta))


def spectrum(
    features: Float[np.ndarray, "P P"],
    backward: Float[np.ndarray, "P P C C"],
    delta: Float[np.ndarray, "P C"],
) -> Float[np.ndarray, " P"]:
    """The eigenvalues of Σ_l/m_{l−1}, (3), that can differ from zero, falling.

    With H = σ(z_{l−1}) of shape (P, m), Σ = Hᵀ q H/P²; those of Σ/m are those of the P × P matrix
    q (H Hᵀ/m)/P².

    Args:
        features: H Hᵀ/m.
        backward: Γ_l.
        delta: δ.

    Returns:
        P eigenvalues; all others of Σ_l/m_{l−1} are zero.
    """
    q = weighted(backward, delta)
    values, vectors = np.linalg.eigh(features)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.linalg.eigvalsh(root.T @ q @ root)[::-1] / len(delta) ** 2
