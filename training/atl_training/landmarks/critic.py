"""A critic of synchronisation: do these lips belong to this sound, or to another moment of it?

Predicted lips that are right on average are too smooth to be recognised. The critic learns on true motion to tell a frame's
sound from the sound of the other frames of its excerpt (InfoNCE; van den Oord, Li, Vinyals, "Representation Learning with
Contrastive Predictive Coding", 2018), and the network is asked to be recognised as well. It sees landmarks, not pictures, and
shares nothing with the sync expert that judges (`atl_evaluation.sync`).
"""
import torch
import torch.nn.functional as F
from torch import nn

from atl_face.topology import MOUTH
from atl_landmark_node.features import MELS
from atl_landmark_node.model import CURRENT

WIDTH = 64  # of an embedding
SCALE = 10.0  # of likeness to logits: 1 / temperature 0.1
NEAR = 1  # frames on either side of the true one that are neither right nor wrong: 40 ms is not heard


class SyncCritic(nn.Module):
    """Embeds 5 frames (200 ms) of lips and the sound around them, as points on the unit sphere."""

    def __init__(self):
        super().__init__()
        points = 2 * len(range(*MOUTH.indices(68)))
        self.lips = nn.Sequential(nn.Conv1d(points, 96, 3, padding=1), nn.ReLU(), nn.Conv1d(96, 96, 3, padding=1), nn.ReLU(),
                                  nn.Conv1d(96, WIDTH, 1))  # fmt: skip
        self.sound = nn.Sequential(nn.Conv1d(CURRENT * MELS, 128, 3, padding=1), nn.ReLU(),
                                   nn.Conv1d(128, 96, 3, padding=1), nn.ReLU(), nn.Conv1d(96, WIDTH, 1))  # fmt: skip

    def forward(self, features, displacement, speaking):
        """Mean cross-entropy (nats) of finding each spoken frame's sound among its excerpt's, and the reverse.

        Args:
            features: (B, at least 4 T, MELS). displacement: (B, T, 68, 3) eye distances. speaking: (B, T) in [0, 1].
        """
        count = displacement.shape[1]
        mouth = 30 * displacement[:, :, MOUTH, :2].flatten(2)  # about 1: the lips move by some hundredths
        heard = F.normalize(self.sound(features[:, :4 * count].unflatten(1, (count, 4)).flatten(2).transpose(1, 2)), dim=1)
        seen = F.normalize(self.lips(mouth.transpose(1, 2)), dim=1)
        logits = SCALE * heard.transpose(1, 2) @ seen  # (B, T sound, T lips)
        frame = torch.arange(count, device=logits.device)
        apart = (frame[:, None] - frame).abs()
        logits = logits.masked_fill((apart > 0) & (apart <= NEAR), -1e4)
        own = frame.expand(len(logits), -1)
        loss = F.cross_entropy(logits, own, reduction="none") + F.cross_entropy(logits.transpose(1, 2), own, reduction="none")
        return (loss * speaking).sum() / (2 * speaking.sum().clamp_min(1))
