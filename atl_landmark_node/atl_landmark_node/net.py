"""The sound-to-weights network in torch, for training and export; at run time `model.SpeechModel` runs its ONNX graph.

A window of log-mel features (120 ms back, 80 ms ahead of a frame's end) passes two convolutions, then two GRUs that
remember the utterance; the second's answer is added to the first's (He et al., "Deep Residual Learning", 2016), by shares that
begin at 0 (Bachlechner et al., "ReZero is All You Need", 2021). Causal but for the look-ahead, one step a landmark frame, 2.6 M
parameters.

Whether lips meet is a decision, and an average of open and shut is neither: one output is the probability that they do, and
where it is high the weights that open the mouth are scaled down until the gap is TIGHT (`LipShutter`).
"""
import numpy as np
import torch
from torch import nn

from atl_face.topology import SPEECH, SPEECH_WEIGHTS, lip_openings
from atl_landmark_node.face_model import load_basis
from atl_landmark_node.features import MELS, SILENCE
from atl_landmark_node.model import CURRENT, LAYERS, LOOKAHEAD, PAST, STATE, STYLES

WEIGHTS = len(SPEECH_WEIGHTS)
REACH = 1.1
"""What the weights are multiplied by in the end: a network that must guess answers with less motion than there is (in speech
synthesis, Toda and Tokuda's "global variance", 2007). Trained outputs move the gap by .9 (rules) and .94 (film) of the truth's
standard deviation. Chosen on GRID's held-out clips: at 1.1 the mouth of a face at rest is nearer to film than at 1 or 1.2."""
TIGHT = 0.01  # eye distances: a lip gap that nobody sees, a third of what counts as closed
SHUT_FROM, SHUT_BY = 0.3, 0.6
"""Probabilities of met lips at which they begin to be shut, and are. At .1 and .3, 3 points more closures on held-out clips that
rules move, for 2 points more false ones; but on GRID's film r falls by .017 and the sync expert's confidence by 4 points."""


class LipShutter(nn.Module):
    """Scales the weights that open the lips, so that the average face's gap falls to TIGHT.

    The gap is linear in the weights (`face_model.load_basis`), so the scale is a division. mouthClose is scaled with them: it
    undoes jawOpen, and can't do more.
    """

    def __init__(self):
        super().__init__()
        basis, neutral = load_basis()
        opening, rest = np.mean(lip_openings(basis[SPEECH]), axis=0), np.mean(lip_openings(neutral))
        scaled = (opening > 0) | (torch.arange(WEIGHTS).numpy() == SPEECH_WEIGHTS.index("mouthClose"))
        self.register_buffer("opening", torch.tensor(opening, dtype=torch.float32), persistent=False)
        self.register_buffer("scaled", torch.tensor(scaled, dtype=torch.float32), persistent=False)
        self.rest = float(rest)

    def forward(self, spoken, met):
        """Speech weights (..., n) with lips that meet with probability met (...)."""
        moves = spoken * self.opening
        open_by = (moves * self.scaled).sum(-1)
        room = TIGHT - self.rest - (moves * (1 - self.scaled)).sum(-1)
        scale = (room / open_by.clamp(min=1e-4)).clamp(0, 1)
        shut = ((met - SHUT_FROM) / (SHUT_BY - SHUT_FROM)).clamp(0, 1)
        return spoken * (1 - (shut * (1 - scale))[..., None] * self.scaled)


def remember(rnn: nn.Module, heard, *state):
    """What a GRU or LSTM answers to heard (B, T, n) in training, float32 on CUDA: autocast would have it in fp16 there whatever
    type it is asked for (torch's AutocastRNN.cpp), in which gradients vanish that aren't scaled. On a CPU nothing changes."""
    if not heard.is_cuda:
        return rnn(heard, *state)
    with torch.autocast("cuda", enabled=False):
        return rnn(heard.float(), *(part.float() for part in state))


class SpeechNet(nn.Module):
    """Log-mel windows to speech weights.

    Args:
        lookahead: feature frames (10 ms each) that it hears after a landmark frame, even; a runtime takes LOOKAHEAD only.
    """

    def __init__(self, lookahead: int = LOOKAHEAD, width: int = 160, dropout: float = 0.15):
        super().__init__()
        self.lookahead = lookahead
        window = PAST + CURRENT + lookahead
        self.conv = nn.Sequential(nn.Conv1d(MELS, width, 5, stride=2), nn.ReLU(),
                                  nn.Conv1d(width, width, 3), nn.ReLU())  # fmt: skip
        self.taps = (window - 5) // 2 + 1 - 2  # outputs of the convolutions over one window
        self.front = nn.Sequential(nn.Linear(width * self.taps, STATE), nn.ReLU(), nn.Dropout(dropout))
        self.gru = nn.GRU(STATE + len(STYLES), STATE, batch_first=True)
        self.second = nn.GRU(STATE, STATE, batch_first=True)
        self.share = nn.Parameter(torch.zeros(STATE))  # of the second's answer
        self.head = nn.Sequential(nn.Linear(2 * STATE + len(STYLES), STATE), nn.ReLU(), nn.Dropout(dropout),
                                  nn.Linear(STATE, WEIGHTS + 2))  # fmt: skip
        nn.init.constant_(self.head[-1].bias, -2.0)  # faces rest near zero weight
        self.shutter = LipShutter()

    def step(self, window, state, style):
        """One frame: (B, WINDOW, MELS), (B, LAYERS STATE), (B, styles) -> answer (B, OUTPUTS) in [0, 1], next state."""
        hidden, heard = self.hear(window, state, style)
        return self._shut(*self.parts(hidden))[:, 0], heard[:, -1]

    def forward(self, features, style):
        """A whole utterance, as the stream would see it: (B, 4 T + lookahead, MELS) -> (B, T, OUTPUTS).

        `features` begin with the first frame of sound; the past before it is silence, as in `stream.py`.
        """
        return self._shut(*self.parts(self.utter(features, style)[0]))

    def utter(self, features, style, state=None):
        """What the network makes of sound that begins after a silence: see `hear`. `state` (B, LAYERS STATE): of
        sound before it."""
        silence = features.new_full((features.shape[0], PAST, MELS), SILENCE)
        state = features.new_zeros(len(features), LAYERS * STATE) if state is None else state
        return self.hear(torch.cat([silence, features], 1), state, style)

    def hear(self, features, state, style):
        """(B, window + 4 (T - 1), MELS) -> what answers come from (B, T, 2 STATE + styles), states (B, T, LAYERS STATE).

        Windows overlap, so they share their convolutions.
        """
        seen = self.conv(features.transpose(1, 2)).unfold(2, self.taps, CURRENT // 2)  # (B, W, T, taps)
        seen = self.front(seen.permute(0, 2, 1, 3).flatten(2))  # (B, T, STATE)
        styles = style[:, None].expand(-1, seen.shape[1], -1)
        first, second = state[None].split(STATE, 2)
        heard, _ = remember(self.gru, torch.cat([seen, styles], 2), first.contiguous())
        deeper, _ = remember(self.second, heard, second.contiguous())
        return torch.cat([seen, heard + self.share * deeper, styles], 2), torch.cat([heard, deeper], 2)

    def parts(self, hidden):
        """Logits of the speech weights (B, T, n), of whether there is speech (B, T), and of whether the lips meet (B, T)."""
        made = self.head(hidden).float()  # in bf16 a sigmoid above 0.998 is 1: no slope is left
        return made[..., :WEIGHTS], made[..., WEIGHTS], made[..., WEIGHTS + 1]

    def shown(self, logits, meet):
        """Speech weights (B, T, n) as a face shows them, from the logits of `parts`."""
        return self.shutter((REACH * logits.sigmoid()).clamp(max=1), meet.sigmoid())

    def _shut(self, logits, speaking, meet):
        return torch.cat([self.shown(logits, meet), speaking.sigmoid()[..., None]], -1)
