"""Optimizers for nets of two precisions: latent weights are treated unlike the rest."""

import torch
from torch import nn

from bimetal.nn.layers import latent_weights

__all__ = ["adamw"]


def adamw(model: nn.Module, learning_rate: float, weight_decay: float = 0.0) -> torch.optim.AdamW:
    """Return AdamW that never decays latent weights.

    A latent weight is a memory of gradients, not a magnitude: decay would pull it towards the
    threshold and flip it for no reason (Helwegen et al. 2019, arXiv:1906.02107).

    Parameters
    ----------
    model : torch.nn.Module
        What to train.
    learning_rate : float
        Of both groups.
    weight_decay : float, default 0.0
        Of the real-valued parameters.
    """
    latent = latent_weights(model)
    ids = {id(p) for p in latent}
    real = [p for p in model.parameters() if id(p) not in ids]
    groups = [
        {"params": latent, "weight_decay": 0.0},
        {"params": real, "weight_decay": weight_decay},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate)
