"""What the landmark networks learn by: the mouth's loss, how the lips are followed, gaps that are bridged, the sync critic."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="augmentation needs scipy")
torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from atl_face.pcm import to_float  # noqa: E402
from atl_face.stream import FRAME_SAMPLES  # noqa: E402
from atl_face.topology import CLOSED_LIP_GAP, MOUTH, SPEECH, SPEECH_WEIGHTS, lip_gap  # noqa: E402
from atl_landmark_node.features import MELS  # noqa: E402
from atl_landmark_node.model import CURRENT, LOOKAHEAD, STATE, STYLES, SpeechModel  # noqa: E402
from atl_landmark_node.net import LipShutter  # noqa: E402
from atl_landmark_node.stream import LandmarkStream  # noqa: E402
from atl_training.landmarks import models  # noqa: E402
from atl_training.landmarks.critic import SyncCritic  # noqa: E402
from atl_training.landmarks.data import Batches, load_shards  # noqa: E402
from atl_training.landmarks.judge import points_of  # noqa: E402
from atl_training.landmarks.losses import MouthLoss  # noqa: E402
from atl_training.landmarks.models import StreamTrainee, heard, load_trainee, style_of  # noqa: E402
from atl_training.landmarks.report.clips import SHIPPED  # noqa: E402

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "corpus_sample"


def test_the_mouth_loss_sees_what_it_is_for():
    loss, speaking = MouthLoss(), torch.ones(1, 4)
    weights = torch.zeros(1, 4, len(SPEECH_WEIGHTS))
    opened = weights.clone()
    opened[..., SPEECH_WEIGHTS.index("jawOpen")] = 0.3
    said = torch.full((1, 4), 7.0)  # logits
    right, wrong = (loss(made, said, said, weights, speaking) for made in (weights, opened))
    assert sum(right.values()) < 0.01 < sum(wrong.values())
    assert right["closure"] == 0 < wrong["closure"] and wrong["velocity"] == 0  # open where shut; but steadily so
    assert loss(weights, said, said, opened, speaking)["closure"] == 0  # shut where open: another part's business
    assert loss(weights, said, -said, weights, speaking)["meet"] > 1 > 0.01 > right["meet"]


def test_to_follow_is_to_correlate_however_wide_and_still_lips_say_nothing():
    loss, jaw = MouthLoss(), SPEECH_WEIGHTS.index("jawOpen")
    time = torch.arange(75) / 25
    true, late, small = torch.zeros(3, 2, 75, len(SPEECH_WEIGHTS))  # of two excerpts, the second one still
    true[0, :, jaw] = 0.3 + 0.2 * torch.sin(9 * time)
    small[0, :, jaw] = 0.3 + 0.1 * torch.sin(9 * time)
    late[0, :, jaw] = 0.3 + 0.2 * torch.sin(9 * (time - 0.08))
    assert loss.follow(true, true) < 1e-3 and loss.follow(small, true) < 2e-3
    assert abs(loss.follow(late, true) - (1 - np.cos(9 * 0.08))) < 0.05
    assert loss.follow(late, torch.zeros_like(true)) == 0
    assert loss.follow(0.01 * true, true) > 0.8  # lips that hardly move don't follow


def test_following_teaches_when_lips_meet():
    trainee, jaw = StreamTrainee(LOOKAHEAD), SPEECH_WEIGHTS.index("jawOpen")
    logits, true = torch.full((1, 75, len(SPEECH_WEIGHTS)), -9.0), torch.zeros(1, 75, len(SPEECH_WEIGHTS))
    logits[..., jaw] = -1.0 + 0.5 * torch.sin(torch.arange(75))  # it opens and shuts, whether they meet or not
    true[..., jaw] = 0.3
    true[:, 30:34] = 0
    meet = torch.zeros(1, 75, requires_grad=True)
    trainee.loss.follow(trainee.net.shown(logits, meet), true).backward()
    assert meet.grad[0, 30:34].max() < 0 < meet.grad[0, 40:].mean()


def test_lips_that_hardly_move_are_drawn_to_follow():
    torch.manual_seed(0)
    trainee, jaw = StreamTrainee(LOOKAHEAD), SPEECH_WEIGHTS.index("jawOpen")
    true = torch.zeros(1, 75, len(SPEECH_WEIGHTS))
    true[..., jaw] = (0.2 * torch.sin(torch.arange(75) / 3)).clamp(min=0)
    logits = (0.01 * torch.randn(true.shape) - 2).requires_grad_()
    meet = torch.full((1, 75), -2.0)
    optimiser = torch.optim.Adam([logits], 0.05)
    lacked = []
    for _ in range(60):
        lacked.append(trainee.loss.follow(trainee.net.shown(logits, meet), true))
        optimiser.zero_grad(), lacked[-1].backward(), optimiser.step()
    assert lacked[-1] < 0.1 < 0.8 < lacked[0]


def test_as_many_batches_bridge_a_gap_as_is_said_all_through_a_run(monkeypatch):
    chosen = [models.bridges(step / 8000) for step in range(8000)]
    for half in (chosen[:4000], chosen[4000:]):
        assert abs(np.mean(half) - models.BRIDGE_SHARE) < 0.03
    assert chosen == [models.bridges(step / 8000) for step in range(8000)]
    trainee = StreamTrainee(LOOKAHEAD)
    batch = list(map(torch.from_numpy, Batches([u for u in load_shards([SAMPLE]) if not u.held], 30, 2, 5).draw()))
    for share in (0, 1):
        monkeypatch.setattr(models, "BRIDGE_SHARE", share)
        assert ("bridge" in trainee(*batch, 0.3)) == bool(share)


def test_lips_that_meet_are_shut_by_what_opens_them():
    shutter = LipShutter()
    spoken = torch.rand(50, len(SPEECH_WEIGHTS), generator=torch.Generator().manual_seed(1)) * 0.1
    spoken[:, SPEECH_WEIGHTS.index("jawOpen")] += 0.2
    gaps = lip_gap(points_of(spoken.numpy()))
    shut = lip_gap(points_of(shutter(spoken, torch.ones(50)).numpy()))
    assert (gaps > 0.06).mean() > 0.8 and (shut < CLOSED_LIP_GAP / 2).all()
    assert torch.equal(shutter(spoken, torch.zeros(50)), spoken)  # lips that don't are let alone
    half = lip_gap(points_of(shutter(spoken, torch.full((50,), 0.45)).numpy()))
    assert ((half < gaps) & (half > shut))[gaps > 0.06].all()  # between them it is no jump
    open_jaw, close = SPEECH_WEIGHTS.index("jawOpen"), SPEECH_WEIGHTS.index("mouthClose")
    ratio = shutter(spoken, torch.ones(50))[:, [close, open_jaw]] / spoken[:, [close, open_jaw]]
    assert torch.allclose(ratio[:, 0], ratio[:, 1])  # mouthClose undoes the jaw's opening, as far as there is one


def test_what_a_gap_costs_falls_to_nothing_where_memory_is_short():
    """The network that remembers nothing is where it would have been as soon as its window is past the gap; dropout is no gap."""
    torch.manual_seed(0)
    trainee = StreamTrainee(LOOKAHEAD).train()
    features, style = torch.randn(2, 40 * CURRENT + LOOKAHEAD, MELS), torch.eye(2)

    with torch.no_grad():
        trainee.net.head[-1].weight *= 100  # an untrained answer hardly moves
        remembering = trainee.off_after_a_gap(features, style).item()
        assert all(module.training for module in trainee.net.modules())
        trainee.net.gru.weight_hh_l0.zero_(), trainee.net.gru.bias_hh_l0.zero_()
        trainee.net.gru.bias_ih_l0[STATE: 2 * STATE] = -40  # the update gate: all of the state is new
        trainee.net.gru.weight_ih_l0[STATE: 2 * STATE] = 0
        assert trainee.off_after_a_gap(features, style).item() < 1.1e-4 < 2e-4 < remembering  # 1e-4 is the root's floor


def test_a_gap_is_bridged_in_training_as_the_stream_bridges_it():
    trainee, first, last = load_trainee(SHIPPED.with_suffix(".safetensors")), 30, 45  # the gap's frames
    utterance = max(load_shards([SAMPLE]), key=lambda each: each.speaking[last:].sum())
    utterance.style = STYLES.index("real")
    sound = to_float(utterance.sound)
    stream = LandmarkStream(SpeechModel("real"))
    frames = [*stream.push(sound[: first * FRAME_SAMPLES]), *stream.skip((last - first) * FRAME_SAMPLES),
              *stream.push(sound[last * FRAME_SAMPLES:])]  # fmt: skip
    skipped = trainee.loss.points(torch.tensor(np.stack([f.weights[SPEECH] for f in frames[last:]]), dtype=torch.float32))
    features, style = heard(utterance, LOOKAHEAD), style_of(utterance)
    with torch.inference_mode():
        whole, states = trainee.net.utter(features, style)
        bridged = trainee.bridged(features, style, states, first, last)
        whole, bridged = (trainee._shown_points(each)[0] for each in (whole[:, last:], bridged))

    def from_the_stream(points):
        return (points[: len(skipped)] - skipped)[:, MOUTH].norm(dim=-1).mean()

    assert from_the_stream(bridged) < 0.2 * from_the_stream(whole)


def test_a_critic_that_knows_tells_the_moment():
    torch.manual_seed(0)
    critic, optimiser = SyncCritic(), None
    optimiser = torch.optim.Adam(critic.parameters(), 3e-3)
    shape = torch.randn(1, 4 * MELS), torch.randn(1, 68 * 3)
    first = None
    for _ in range(60):
        jaw = torch.randn(4, 20, 1)
        features = (jaw @ shape[0]).unflatten(2, (4, MELS)).flatten(1, 2)
        lips = 0.03 * (jaw @ shape[1]).unflatten(2, (68, 3))
        loss = critic(features, lips, torch.ones(4, 20))
        first = loss.item() if first is None else first
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    shifted = critic(features, lips.roll(5, 1), torch.ones(4, 20))
    assert loss < 0.6 * first and shifted > 1.5 * loss
    still = torch.zeros_like(lips)
    lips[:, :, MOUTH] = still[:, :, MOUTH]  # it looks at nothing but the mouth
    assert torch.allclose(critic(features, lips, torch.ones(4, 20)), critic(features, still, torch.ones(4, 20)))
