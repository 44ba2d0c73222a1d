"""Claims about recurrent and convolutional networks, whose weights are tied over time or space.

Appendix E says that the analysis carries over to recurrent networks; Section 4 and the experiments
apply it to convolutional ones. The statements are those of :mod:`ntkalign.claims.theory`, of the
recurrent weights and of each convolution: what signals make of a weight is summed over steps, or
over places. In norms a convolution's weights are one matrix, of channels by what a place sees; its
alignment score is that of the operator on images. m counts hidden units, or channels.

A recurrent network has one width. With a bottleneck its state is as narrow at every m, so that
nothing changes with m but the draw: whatever tends to 0 in theory must not be found to do so.
"""

from __future__ import annotations

from ntkalign.claims.claim import BOTTLENECK, COMPARED, CONTROLS, MAIN, Claim, Control, Kind, Place
from ntkalign.claims.theory import (
    DIVERGES,
    LEMMA_RULES,
    MOVED,
    NO_SCORE,
    NOT_ALIGNED,
    NOT_W_STAR,
)
from ntkalign.quantities.quantity import Layers

NORMAL = ("normal",)
OTHER_RULES = Control(MAIN, (CONTROLS,))
FEEDBACK_ALIGNMENT = Control(MAIN, ("fa",))
NARROW = Control(BOTTLENECK, NORMAL, Place.NECK)
ABOVE_NECK = Control(BOTTLENECK, NORMAL, Place.ABOVE_NECK)
NARROW_RULES = Control(BOTTLENECK, (COMPARED,))
RNN, CNN = "rnn", "cnn"

# fmt: off
RECURRENT_CLAIMS = (
    Claim("appendix-e/activations", "App. E, (19)",
          "max_k √E‖(z_k^t − z_k^0)/√m‖² is O(m^-1/2)",
          "activation-drift", Kind.BOUND, -0.5, LEMMA_RULES, (NARROW,),
          layers=Layers.RECURRENCE, network=RNN,
          formula=r"$\max_k\sqrt{\mathrm{E}\lVert(z_k^t-z_k^0)/\sqrt{m}\rVert^2}=O(m^{-1/2})$",
          if_refuted=MOVED),
    Claim("appendix-e/weights", "App. E, (20)", "‖W_h^t − W_h^0‖_op/√m is O(m^-1/2)",
          "weight-drift", Kind.BOUND, -0.5, LEMMA_RULES, (NARROW,),
          layers=Layers.RECURRENCE, network=RNN,
          formula=r"$\lVert W_h^t-W_h^0\rVert_{\mathrm{op}}/\sqrt{m}=O(m^{-1/2})$",
          if_refuted=MOVED),
    Claim("appendix-e/discrepancy", "App. E, (42)", "‖W_h^t − W_h^*‖_op is O(m^-1/2)",
          "discrepancy", Kind.BOUND, -0.5, NORMAL, (FEEDBACK_ALIGNMENT, NARROW),
          layers=Layers.RECURRENCE, network=RNN,
          formula=r"$\lVert W_h^t-W_h^{\ast}\rVert_{\mathrm{op}}=O(m^{-1/2})$",
          if_refuted=NOT_W_STAR),
    Claim("appendix-e/proposition-1", "App. E, (8)", "‖Σ/m − Δ‖_op/√m is O(m^-1)",
          "alignment-gap", Kind.BOUND, -1.0, NORMAL, (NARROW,),
          layers=Layers.RECURRENCE, network=RNN,
          formula=r"$\lVert\Sigma/m-\Delta\rVert_{\mathrm{op}}/\sqrt{m}=O(m^{-1})$",
          if_refuted=NOT_ALIGNED),
    Claim("appendix-e/alignment-score", "App. E, (9)", "1 − S of W_h tends to 0",
          "misalignment", Kind.VANISHES, None, NORMAL, (NARROW,),
          layers=Layers.RECURRENCE, network=RNN,
          formula=r"$1-S\to 0$ for $W_h$",
          if_refuted=NO_SCORE),
    Claim("appendix-e/proposition-2", "App. E, (17)",
          "max_x,k ‖ŷ_k^t − ŷ_k,rule^t‖ is O(m^-1/2)",
          "divergence", Kind.BOUND, -0.5, (COMPARED,), (OTHER_RULES, NARROW_RULES), network=RNN,
          formula=r"$\max_{x,k}\lVert\hat y_k^t-\hat y_{k,\mathrm{rule}}^t\rVert=O(m^{-1/2})$",
          if_refuted=DIVERGES),
    Claim("appendix-e/kernel-drift", "Lemma 1", "sup_t ‖Θ^t − Θ^0‖/‖Θ^0‖ is O(m^-1/2)",
          "kernel-drift", Kind.BOUND, -0.5, NORMAL, (NARROW,), network=RNN,
          formula=r"$\sup_t\lVert\Theta^t-\Theta^0\rVert/\lVert\Theta^0\rVert=O(m^{-1/2})$",
          if_refuted=MOVED),
)
CONVOLUTIONAL_CLAIMS = (
    Claim("cnn/activations", "Sec. 4, (19)", "√E‖(z_l^t − z_l^0)/√m_l‖² is O(m^-1/2)",
          "activation-drift", Kind.BOUND, -0.5, LEMMA_RULES, (NARROW,), network=CNN,
          formula=r"$\sqrt{\mathrm{E}\lVert(z_l^t-z_l^0)/\sqrt{m_l}\rVert^2}=O(m^{-1/2})$",
          if_refuted=MOVED),
    Claim("cnn/weights", "Sec. 4, (20)", "‖W_l^t − W_l^0‖_op/√(9 c_{l−1}) is O(m^-1/2)",
          "weight-drift", Kind.BOUND, -0.5, LEMMA_RULES, (ABOVE_NECK,),
          layers=Layers.HIDDEN, network=CNN,
          formula=r"$\lVert W_l^t-W_l^0\rVert_{\mathrm{op}}/\sqrt{9c_{l-1}}=O(m^{-1/2})$",
          if_refuted=MOVED),
    Claim("cnn/discrepancy", "Sec. 4, (42)", "‖W̃_l‖_op is O(m^-1/2)",
          "discrepancy", Kind.BOUND, -0.5, NORMAL, (FEEDBACK_ALIGNMENT, ABOVE_NECK),
          layers=Layers.HIDDEN, network=CNN,
          formula=r"$\lVert\tilde W_l\rVert_{\mathrm{op}}=O(m^{-1/2})$",
          if_refuted=NOT_W_STAR),
    Claim("cnn/proposition-1", "Sec. 4, (8)",
          "‖Σ_l/m_{l−1} − Δ_l‖_op/√(9 c_{l−1}) is O(m^-1)",
          "alignment-gap", Kind.BOUND, -1.0, NORMAL, (ABOVE_NECK,),
          layers=Layers.HIDDEN, network=CNN,
          formula=r"$\lVert\Sigma_l/m_{l-1}-\Delta_l\rVert_{\mathrm{op}}"
          r"/\sqrt{9c_{l-1}}=O(m^{-1})$",
          if_refuted=NOT_ALIGNED),
    Claim("cnn/alignment-score", "Sec. 4, (9)", "1 − S_l of the operator tends to 0",
          "misalignment", Kind.VANISHES, None, NORMAL, (ABOVE_NECK,),
          layers=Layers.HIDDEN, network=CNN,
          formula=r"$1-S_l\to 0$ for the operator of layer $l$",
          if_refuted=NO_SCORE),
    Claim("cnn/proposition-2", "Sec. 4, (17)", "max_x ‖f^t − f_rule^t‖ is O(m^-1/2)",
          "divergence", Kind.BOUND, -0.5, (COMPARED,), (OTHER_RULES, NARROW_RULES), network=CNN,
          formula=r"$\max_x\lVert f^t-f_{\mathrm{rule}}^t\rVert=O(m^{-1/2})$",
          if_refuted=DIVERGES),
    Claim("cnn/kernel", "[Arora et al. 2019]", "‖Θ^0 − Θ^∞‖/‖Θ^∞‖ is O(m^-1/2)",
          "kernel-gap", Kind.BOUND, -0.5, NORMAL, (NARROW,), network=CNN,
          formula=r"$\lVert\Theta^0-\Theta^\infty\rVert/\lVert\Theta^\infty\rVert=O(m^{-1/2})$"),
    Claim("cnn/kernel-drift", "Lemma 1", "sup_t ‖Θ^t − Θ^0‖/‖Θ^0‖ is O(m^-1/2)",
          "kernel-drift", Kind.BOUND, -0.5, NORMAL, (NARROW,), network=CNN,
          formula=r"$\sup_t\lVert\Theta^t-\Theta^0\rVert/\lVert\Theta^0\rVert=O(m^{-1/2})$",
          if_refuted=MOVED),
)
# fmt: on
