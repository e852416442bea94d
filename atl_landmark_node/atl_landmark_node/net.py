"""The sound-to-weights network in torch, for training and export; at run time `model.SpeechModel` runs its ONNX graph.

A window of log-mel features (120 ms back, 80 ms ahead of a frame's end) passes two convolutions, then a GRU that
remembers the utterance. Causal but for the look-ahead, one step a landmark frame, 0.8 M parameters.
"""
import torch
from torch import nn

from atl_landmark_node.features import MELS, SILENCE
from atl_landmark_node.model import CURRENT, LOOKAHEAD, OUTPUTS, PAST, STATE, STYLES


class SpeechNet(nn.Module):
    """Log-mel windows to speech weights.

    Args:
        lookahead: feature frames (10 ms each) that it hears after a landmark frame, even; a runtime takes LOOKAHEAD only.
    """

    def __init__(self, lookahead: int = LOOKAHEAD, width: int = 128, dropout: float = 0.15):
        super().__init__()
        self.lookahead = lookahead
        window = PAST + CURRENT + lookahead
        self.conv = nn.Sequential(nn.Conv1d(MELS, width, 5, stride=2), nn.ReLU(),
                                  nn.Conv1d(width, width, 3), nn.ReLU())  # fmt: skip
        self.taps = (window - 5) // 2 + 1 - 2  # outputs of the convolutions over one window
        self.front = nn.Sequential(nn.Linear(width * self.taps, STATE), nn.ReLU(), nn.Dropout(dropout))
        self.gru = nn.GRU(STATE + len(STYLES), STATE, batch_first=True)
        self.head = nn.Sequential(nn.Linear(2 * STATE + len(STYLES), STATE), nn.ReLU(), nn.Dropout(dropout),
                                  nn.Linear(STATE, OUTPUTS))  # fmt: skip
        nn.init.constant_(self.head[-1].bias, -2.0)  # faces rest near zero weight

    def step(self, window, state, style):
        """One frame: (B, WINDOW, MELS), (B, STATE), (B, styles) -> answer (B, OUTPUTS) in [0, 1], next state."""
        answer, state = self._frames(window, state, style)
        return answer[:, 0], state

    def forward(self, features, style):
        """A whole utterance, as the stream would see it: (B, 4 T + lookahead, MELS) -> (B, T, OUTPUTS).

        `features` begin with the first frame of sound; the past before it is silence, as in `stream.py`.
        """
        silence = features.new_full((features.shape[0], PAST, MELS), SILENCE)
        return self._frames(torch.cat([silence, features], 1), features.new_zeros(len(features), STATE), style)[0]

    def _frames(self, features, state, style):
        """(B, window + 4 (T - 1), MELS) -> (B, T, OUTPUTS), state: windows overlap, so they share their convolutions."""
        seen = self.conv(features.transpose(1, 2)).unfold(2, self.taps, CURRENT // 2)  # (B, W, T, taps)
        seen = self.front(seen.permute(0, 2, 1, 3).flatten(2))  # (B, T, STATE)
        styles = style[:, None].expand(-1, seen.shape[1], -1)
        heard, state = self.gru(torch.cat([seen, styles], 2), state[None])
        answer = self.head(torch.cat([seen, heard, styles], 2)).float()  # in bf16 a sigmoid above 0.998 is 1: no slope is left
        return torch.sigmoid(answer), state[0]
