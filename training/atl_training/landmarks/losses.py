"""What a predicted mouth is measured by in training, on the average face, in eye distances."""
import torch
import torch.nn.functional as F

from atl_face.topology import CLOSED_LIP_GAP, MOUTH, SPEECH, lip_openings
from atl_landmark_node.face_model import load_basis

POINT_LOSS = 40.0  # points are in eye distances: a millimetre is 0.01, so their squares need lifting
VELOCITY_LOSS = 60.0  # keeps the timing of closures; position alone averages them away
GAP_LOSS = 4.0
CLOSURE_LOSS = 12.0  # on top: an open mouth where lips have to meet is what people see first; more costs r (30: -.02)
MEET_LOSS = 0.2  # of the decision whether they do (`net.LipShutter`)
SPEAKING_LOSS = 0.1
FOLLOW_LOSS = 1.0  # an r of .9 costs .1
MOVES = 0.01  # eye distances: a lip gap whose standard deviation is smaller has nothing to follow, nor does it follow


class MouthLoss(torch.nn.Module):
    """The paper's mouth-weighted landmark loss (section 3.1; here .2 over the 48 other points and .8 over the mouth's 20) with
    velocity, lip gap and closures added."""

    def __init__(self):
        super().__init__()
        basis, neutral = load_basis()
        self.register_buffer("basis", torch.tensor(basis[SPEECH], dtype=torch.float32).flatten(1))  # (n, 204)
        gain = torch.full((68, 1), 0.2 / 48)
        gain[MOUTH] = 0.8 / 20
        self.register_buffer("gain", gain)
        self.register_buffer("rest", torch.tensor(lip_openings(neutral), dtype=torch.float32))

    def points(self, weights):
        """Speech weights (B, T, n) -> displacement (B, T, 68, 3)."""
        return (weights @ self.basis).unflatten(-1, (68, 3))

    def gap(self, points):
        """Signed lip gap of the three pairs, (B, T, 3)."""
        return torch.stack(lip_openings(points), -1) + self.rest

    def forward(self, spoken, speaks, meet, weights, speaking):
        """The parts of the loss, by name.

        Args:
            spoken: weights (B, T, n) before any shutting. speaks, meet: logits (B, T) of speech, and of lips that meet in it.
            weights: true ones (B, T, n). speaking: (B, T) 0 or 1.
        """
        p, q = self.points(spoken), self.points(weights)
        where = (self.gain * (p - q) ** 2).sum((-1, -2)).mean()
        speed = (self.gain * (p.diff(dim=1) - q.diff(dim=1)) ** 2).sum((-1, -2)).mean()
        made, true = self.gap(p), self.gap(q)
        shut = true.mean(-1) < CLOSED_LIP_GAP
        closed = (shut & (speaking > 0.5))[..., None]
        return {
            "weights": (spoken - weights).abs().mean(),
            "points": POINT_LOSS * where,
            "velocity": VELOCITY_LOSS * speed,
            "gap": GAP_LOSS * (made - true).abs().mean(),
            "closure": CLOSURE_LOSS * (F.relu(made - true) * closed).mean(),
            "meet": MEET_LOSS * F.binary_cross_entropy_with_logits(meet, shut.float()),
            "speaking": SPEAKING_LOSS * F.binary_cross_entropy_with_logits(speaks, speaking),
        }

    def follow(self, shown, weights):
        """What the correlation of the lip gap lacks to 1, a mean over the excerpts in which the true lips move.

        The parts of `forward` are least for the average of what may be, which moves too little and too softly, and see no
        shutter. This one doesn't see how far lips move, as long as it is MOVES.

        Args:
            shown: weights (B, T, n) as a face shows them, shut. weights: true ones.
        """
        made, true = (self.gap(self.points(some)).mean(-1) for some in (shown, weights))
        made, true = (gap - gap.mean(1, keepdim=True) for gap in (made, true))
        least = MOVES * true.shape[1] ** 0.5  # a norm: without it lips that hardly move would be blown up to correlate
        far, truly = made.norm(dim=1), true.norm(dim=1)
        lacks = 1 - (made * true).sum(1) / (far.clamp_min(least) * truly.clamp_min(least))
        moves = (truly > least).float()
        return FOLLOW_LOSS * (lacks * moves).sum() / moves.sum().clamp_min(1)
