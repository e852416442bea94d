"""What a renderer has to beat."""
import numpy as np


class WarpOnly:
    """A runtime that draws nothing: the portrait warped to the landmarks, nothing learned."""

    name = "warp-only"
    concurrent = False

    def identity(self, portrait, portrait_rasters):
        """Nothing is computed from a portrait."""
        return None

    def of(self, view):
        """The same for any."""
        return self

    def step(self, x_s, warped, guides, features, memory):
        """No change, no flow: the warped portrait as it is."""
        return np.zeros_like(warped), np.zeros_like(warped[:, :2, ::4, ::4]), None
