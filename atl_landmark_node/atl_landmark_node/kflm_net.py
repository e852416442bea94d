"""The paper's Landmark Generation Module (ATL-Diff, section 3.1, "dual domain") in torch, for training and export.

What it takes from the paper: a transformer over the whole utterance whose decoders ask with the portrait's landmarks, one
for the face and one for the mouth (global domain); bidirectional LSTMs of 68 and 20 units on features that the emotion
weighs (content domain); small convolutions that fuse the two, mouth points over face points; a KAN 68 -> 512 -> 68; loss
0.2 MSE(all) + 0.8 MSE(mouth). What it leaves out or does otherwise, and why:

- Time is continuous: one pass over an utterance of any length instead of windows of a second. Attention looks REACH frames to
  either side and knows distances, not places, so that nothing changes beyond the length of training's excerpts.
- The emotion acts: a sigmoid weighs each channel by the clip's own label; the paper's softmax over the batch is 1 at batch 1.
- 25 frames a second, those of the picture; three coordinates instead of two; and a probability of speech (ours, not the
  paper's), so that the runtime can keep a mouth still in silence as it does for `stream`.
"""
import torch
import torch.nn.functional as F
from torch import nn

from atl_face.emotion import LABELS
from atl_face.topology import MOUTH
from atl_landmark_node.face_model import RIGID
from atl_landmark_node.features import MELS
from atl_landmark_node.kan import Kan
from atl_landmark_node.net import remember

POINTS, MOUTH_POINTS, AXES = 68, 20, 3
REACH = 25  # frames, 1 s: the paper's window, on either side; a syllable with its neighbours is half of that
HIDDEN = 512  # of the KAN, the paper's
EMOTION_SPREAD = 1.5  # standard deviation of a label's fresh weights: its channels begin between a tenth and all of their size
FIRST_MOTION = 0.1  # share of the last layer's usual start: training begins at a face that hardly moves
MOTION = 0.25  # eye distances that an output of 1 moves a point: what a wide jaw moves the lower lip

ALL_SHARE, MOUTH_SHARE = 0.2, 0.8  # the paper's
POINT_LOSS = 100.0  # points are in eye distances: a still face is off by 0.001 in squares, and Adam's epsilon is not far
SPEAKING_LOSS = 0.02  # tells silence and no more: its 0.7 nats at the start are a seventh of a still face's loss


class LocalAttention(nn.Module):
    """Softmax attention of queries on keys at most REACH frames away, both (B, T, width), any T, memory linear in T.

    Without a memory to hear, the queries attend to each other.

    Scores fall with distance, by another slope per head (ALiBi: Press et al., "Train Short, Test Long", 2022). Frames are worked
    on in blocks of REACH that see their neighbour blocks; what is outside the reach or the utterance gets no weight.
    """

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        query, key = torch.arange(REACH)[:, None], torch.arange(3 * REACH) - REACH
        distance = (query - key).abs()
        slopes = 2.0 ** -torch.arange(1, heads + 1)  # ALiBi's own run down to 2^-8, for reaches of a thousand tokens
        bias = (-slopes[:, None, None] * distance).masked_fill(distance > REACH, -torch.inf)
        self.register_buffer("bias", bias, persistent=False)  # (heads, REACH, 3 REACH)

    def forward(self, queries, memory=None):
        memory = queries if memory is None else memory
        batch, frames, width = queries.shape
        blocks = (frames + REACH - 1) // REACH
        rest = blocks * REACH - frames
        q = F.pad(self.query(queries), (0, 0, 0, rest)).view(batch, blocks, REACH, self.heads, width // self.heads)
        padded = F.pad(self.key_value(memory), (0, 0, REACH, REACH + rest)).view(batch, blocks + 2, REACH, 2 * width)
        k, v = self._neighbours(padded).view(batch, blocks, 3 * REACH, 2, self.heads, width // self.heads).unbind(3)
        outside = F.pad(memory.new_zeros(1, frames, 1), (0, 0, REACH, REACH + rest), value=1.0)
        outside = self._neighbours(outside.view(1, blocks + 2, REACH, 1)).view(1, blocks, 1, 1, 3 * REACH)
        scores = torch.einsum("bnqhd,bnkhd->bnhqk", q, k) * (width // self.heads) ** -0.5
        scores = scores + self.bias - 1e4 * outside  # finite: a padded query's row may have no key at all
        found = torch.einsum("bnhqk,bnkhd->bnqhd", torch.softmax(scores, -1), v)
        return self.out(found.reshape(batch, blocks * REACH, width)[:, :frames])

    @staticmethod
    def _neighbours(blocks):
        """(B, n + 2, REACH, w) -> (B, n, 3 REACH, w): every block between the block before and the one after."""
        return torch.cat([blocks[:, :-2], blocks[:, 1:-1], blocks[:, 2:]], 2)


class _Sublayer(nn.Module):
    """x + dropout(layer(norm(x), ...)): the pre-norm residual of transformers (Xiong et al. 2020)."""

    def __init__(self, width: int, layer: nn.Module, dropout: float):
        super().__init__()
        self.norm, self.layer, self.dropout = nn.LayerNorm(width), layer, nn.Dropout(dropout)

    def forward(self, x, *memory):
        return x + self.dropout(self.layer(self.norm(x), *memory))


def _mixing(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class _Encoder(nn.Module):
    """(B, T, width) -> (B, T, width), normed."""

    def __init__(self, width: int, layers: int, dropout: float):
        super().__init__()
        self.attend = nn.ModuleList(_Sublayer(width, LocalAttention(width), dropout) for _ in range(layers))
        self.mix = nn.ModuleList(_Sublayer(width, _mixing(width), dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        for attend, mix in zip(self.attend, self.mix, strict=True):
            x = mix(attend(x))
        return self.norm(x)


class _Decoder(nn.Module):
    """The portrait asks, the sound answers: (B, points, 3) and (B, T, width) -> (B, T, 3 x points).

    Every frame asks with the same portrait, so that the sound is attended to first and the frames to each other then.
    """

    def __init__(self, width: int, points: int, dropout: float):
        super().__init__()
        self.ask = nn.Linear(AXES * points, width)
        self.hear = _Sublayer(width, LocalAttention(width), dropout)
        self.agree = _Sublayer(width, LocalAttention(width), dropout)
        self.mix = _Sublayer(width, _mixing(width), dropout)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, AXES * points))

    def forward(self, portrait, memory):
        x = self.ask(portrait.flatten(1))[:, None].expand(-1, memory.shape[1], -1)
        return self.out(self.mix(self.agree(self.hear(x, memory))))


class _Content(nn.Module):
    """A bidirectional LSTM with a unit per point; (B, T, width) -> (B, T, 3 x points).

    In the paper the two directions of a unit are its point's x and y; here a linear layer makes x, y and z of all of them.
    """

    def __init__(self, width: int, points: int):
        super().__init__()
        self.lstm = nn.LSTM(width, points, num_layers=2, bidirectional=True, batch_first=True)
        self.out = nn.Sequential(nn.LayerNorm(2 * points), nn.Linear(2 * points, AXES * points))  # a fresh LSTM whispers

    def forward(self, x):
        return self.out(remember(self.lstm, x)[0])


class _Fusion(nn.Module):
    """Both domains' (B, T, 3 x points) -> (B, T, points out, 3), by convolutions over 5 frames in all."""

    def __init__(self, points: int, points_out: int, width: int):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(2 * AXES * points, width, 3, padding=1), nn.GELU(),
                                  nn.Conv1d(width, AXES * points_out, 3, padding=1))  # fmt: skip
        for layer in self.conv[::2]:  # what changes over time keeps its size; torch's own start takes nine tenths of it
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, globally, locally):
        both = torch.cat([globally, locally], 2).transpose(1, 2)
        return self.conv(both).transpose(1, 2).unflatten(2, (-1, AXES))


class KflmNet(nn.Module):
    """Features of a whole utterance, a portrait and an emotion to landmarks.

    Args:
        inputs: features per frame, 25 frames a second; by default the four log-mel frames of a landmark frame.
        width: of the transformer and of what the LSTMs hear.
        layers: of the encoder.
    """

    def __init__(self, inputs: int = 4 * MELS, width: int = 128, layers: int = 2, dropout: float = 0.1):
        super().__init__()
        self.inputs = inputs
        self.front = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.LayerNorm(width))
        self.encoder = _Encoder(width, layers, dropout)
        self.face_decoder, self.mouth_decoder = _Decoder(width, POINTS, dropout), _Decoder(width, MOUTH_POINTS, dropout)
        self.emotion_weight = nn.Linear(len(LABELS), width)
        nn.init.normal_(self.emotion_weight.weight, std=EMOTION_SPREAD)
        self.face_content, self.mouth_content = _Content(width, POINTS), _Content(width, MOUTH_POINTS)
        # the mouth's points overwrite the face's: the face's fusion need not answer for them
        self.face_fusion = _Fusion(POINTS, POINTS - MOUTH_POINTS, width)
        self.mouth_fusion = _Fusion(MOUTH_POINTS, MOUTH_POINTS, width // 2)
        self.head = Kan(POINTS, HIDDEN, POINTS)
        with torch.no_grad():
            for values in self.head.layers[-1].parameters():
                values *= FIRST_MOTION
        self.speaking = nn.Linear(width, 1)

    def forward(self, features, neutral, emotion):
        """A whole utterance.

        Args:
            features: (B, T, inputs), any T >= 1.
            neutral: (B, 68, 3) the portrait with its lips closed, in the average pose, eye distances; its place is free.
            emotion: (B, 8) one-hot of `LABELS` times strength, 0 to 1.

        Returns:
            landmarks (B, T, 68, 3) in eye distances where the neutral ones are, probability of speech (B, T).
        """
        heard = self.front(features)
        portrait = neutral - neutral[:, RIGID].mean(1, keepdim=True)
        memory = self.encoder(heard)
        weighed = heard * torch.sigmoid(self.emotion_weight(emotion))[:, None]
        face = self.face_fusion(self.face_decoder(portrait, memory), self.face_content(weighed))
        mouth = self.mouth_fusion(self.mouth_decoder(portrait[:, MOUTH], memory), self.mouth_content(weighed))
        points = torch.cat([face, mouth], 2)  # the mouth is the last of the 68 points
        moved = torch.stack([self.head(points[..., axis]) for axis in range(AXES)], -1)
        speaking = self.speaking(memory)[..., 0].float()  # in bf16 a sigmoid above 0.998 is 1: no slope is left
        return neutral[:, None] + MOTION * moved, torch.sigmoid(speaking)


def kflm_loss(points, true_points, speaking_prob, speaking):
    """The paper's loss on landmarks (B, T, 68, 3), eye distances, and cross-entropy of speech (B, T).

    Returns:
        the loss and its scaled parts {"points", "speaking"}.
    """
    square = (points - true_points).square()
    parts = {
        "points": POINT_LOSS * (ALL_SHARE * square.mean() + MOUTH_SHARE * square[..., MOUTH, :].mean()),
        "speaking": SPEAKING_LOSS * F.binary_cross_entropy(speaking_prob, speaking),
    }
    return sum(parts.values()), parts
