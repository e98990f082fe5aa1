"""The papers' physics-integrated variational autoencoder with planar flows, and its comparison."""

from wilsonian.greybox.hybrid.hybrid_vae import HybridVAE

__all__ = ["HybridVAE"]
