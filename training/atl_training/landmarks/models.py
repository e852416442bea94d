"""What is trained: a network, its loss on a batch, how an utterance is put to it, and its export. One interface for both."""
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch.func import functional_call

from atl_face.emotion import LABELS, Expression
from atl_face.errors import UserError
from atl_face.pcm import to_float
from atl_face.topology import MOUTH
from atl_landmark_node.expression import expression_weights
from atl_landmark_node.face_model import load_basis
from atl_landmark_node.features import HOP, SILENCE, log_mel
from atl_landmark_node.kflm_net import KflmNet, kflm_loss
from atl_landmark_node.model import CURRENT, LOOKAHEAD, PAST, STATE, STYLES
from atl_landmark_node.net import SpeechNet
from atl_training.device import device_of
from atl_training.landmarks.critic import SyncCritic
from atl_training.landmarks.data import NAMED, UNKNOWN, Utterance
from atl_training.landmarks.encoders import Encoder, LogMel, load_encoder
from atl_training.landmarks.export import export
from atl_training.landmarks.kflm_export import export_kflm
from atl_training.landmarks.losses import MouthLoss

LOG_MEL = LogMel.name
SYNC_LOSS = 0.03
SYNC_FROM = 0.2  # share of the steps after which the critic is listened to: it has to learn first
VISEME_LOSS = 0.1
TEACHER_LOSS = 0.2  # of the mean square of what its features (deviation 1) are off by: about what all others weigh together
UNDISTURBED = 0.5
"""Of the excerpts with speech; with a third of the others (`augment.CLEAN_SHARE`) two thirds are: what is learnt for bad sound
costs some of the precision in good sound."""
BRIDGE_SHARE = 0.25  # of the batches bridge a gap
BRIDGE_LOSS = 20.0
"""Of an eye distance, a frame's mean over the mouth: a difference of 1 % costs .2 in such a batch, .05 on average."""
GAP_FRAMES = 2, 26  # of a gap in the sound, from and up to: a shorter one is filled with sound (`stream.CONCEALED`)
RECOVERED_FRAMES = 4  # after a gap, from which on the mouth shall be where it would have been: 160 ms


def heard(utterance: Utterance, lookahead: int, encoder: Encoder | None = None) -> torch.Tensor:
    """Features of an utterance of T frames, silence follows it: log-mel ones (1, 4 T + lookahead, MELS), or an encoder's
    (1, T + lookahead / 4, width)."""
    need = (len(utterance.weights) * CURRENT + lookahead) * HOP
    sound = np.pad(to_float(utterance.sound), (0, max(0, need - len(utterance.sound))))[:need]
    return torch.from_numpy(encoder.once(sound) if encoder else log_mel(sound))[None]


def style_of(utterance: Utterance) -> torch.Tensor:
    """Whose way of moving the lips an utterance has, one-hot (1, len(STYLES))."""
    return F.one_hot(torch.tensor([utterance.style]), len(STYLES)).float()


def bridges(progress: float) -> bool:
    """Whether a batch bridges a gap; drawn by the share of the steps that are done, so that all processes have as much to do."""
    return Random(progress).random() < BRIDGE_SHARE


@contextmanager
def without_dropout(net: torch.nn.Module):
    """Only dropout is switched off: cuDNN's recurrent layers learn in training mode alone."""
    dropouts = [module for module in net.modules() if isinstance(module, torch.nn.Dropout)]
    for module in dropouts:
        module.eval()
    try:
        yield
    finally:
        for module in dropouts:
            module.train(net.training)


class StreamTrainee(torch.nn.Module):
    """`stream`, with what only teaches it: a sync critic, an ear that names visemes, and one that guesses a teacher's features.

    Args:
        lookahead: feature frames. sync: weight of the critic's opinion; 0 is without. taught: features of the teacher, if any.
    """

    learning_rate = 1.5e-3
    encoder = None  # but the log-mel frames of 10 ms
    undisturbed = UNDISTURBED

    def __init__(self, lookahead: int, sync: float | None = None, encoder: str = LOG_MEL, folder: Path | None = None,
                 taught: int = 0):  # fmt: skip
        super().__init__()
        if encoder != LOG_MEL:
            raise UserError("stream answers while it hears, so log-mel is all that it can hear: --encoder is for kflm.")
        self.told = {"model": "stream", "lookahead": str(lookahead)}
        self.net, self.loss = SpeechNet(lookahead), MouthLoss()
        self.ahead = -(-lookahead // CURRENT)  # frames that wait for what comes after them
        self.visemes = torch.nn.Linear(2 * STATE + len(STYLES), len(NAMED))
        self.teacher = torch.nn.Linear(2 * STATE + len(STYLES), taught) if taught else None
        self.sync = SYNC_LOSS if sync is None else sync
        self.critic = SyncCritic() if self.sync else None

    def forward(self, features, weights, speaking, style, visemes, taught, progress: float) -> dict[str, torch.Tensor]:
        """The parts of the loss; `progress` is the share of the steps that are done."""
        hidden, _ = self.net.utter(features, style)
        named = self.visemes(hidden)
        guessed = self.teacher(hidden) if self.teacher else None
        off = self.off_after_a_gap(features, style) if bridges(progress) else None
        with torch.autocast(features.device.type, enabled=False):
            logits, speaks, meet = self.net.parts(hidden)
            spoken = logits.sigmoid()
            parts = self.loss(spoken, speaks, meet, weights, speaking)
            shown = self.net.shown(logits, meet)
            parts["follow"] = self.loss.follow(shown, weights)
            wrong = F.cross_entropy(named.float().flatten(0, 1), visemes.long().flatten(), ignore_index=UNKNOWN, reduction="sum")
            parts["viseme"] = VISEME_LOSS * wrong / (visemes != UNKNOWN).sum().clamp_min(1)
            if guessed is not None:
                known = taught.isfinite()
                missed = (guessed.float() - taught.nan_to_num()).square() * known
                parts["teacher"] = TEACHER_LOSS * missed.sum() / known.sum().clamp_min(1)
            if off is not None:
                parts["bridge"] = BRIDGE_LOSS * off
            if self.critic is not None:
                parts["critic"] = self.critic(features, self.loss.points(weights), speaking)
                if progress >= SYNC_FROM:
                    frozen = {name: value.detach() for name, value in self.critic.named_parameters()}
                    seen = self.loss.points(shown)
                    parts["sync"] = self.sync * functional_call(self.critic, frozen, (features, seen, speaking))
        return parts

    def off_after_a_gap(self, features, style):
        """How far the mouth that is shown is from where it would have been without a gap, from RECOVERED_FRAMES after it on.
        Nothing is dropped out: two passes' chance would be most of the difference."""
        count = (features.shape[1] - self.net.lookahead) // CURRENT
        begin = int(torch.randint(count // 3, count * 2 // 3, ()))
        before = max(self.ahead, begin - int(torch.randint(*GAP_FRAMES, ())))
        with without_dropout(self.net):
            with torch.no_grad():
                hidden, states = self.net.utter(features, style)
                true = self._shown_points(hidden[:, begin:])
            made = self._shown_points(self.bridged(features, style, states, before, begin))
        return (made - true)[:, RECOVERED_FRAMES:, MOUTH].square().sum(-1).add(1e-8).sqrt().mean()

    def bridged(self, features, style, states, before: int, begin: int):
        """What answers come from (B, T - begin, ...) when the frames from `before` up to `begin` are lost and bridged as
        `LandmarkStream.skip` does. Silence takes the sound's place: the last frames that were heard hear it ahead. When its own
        last ones, which hear ahead what follows, are stepped through, the state is that of before it.

        Args:
            features: (B, 4 T + lookahead, MELS). states: (B, T, LAYERS STATE), where nothing is lost.
        """
        ahead = self.ahead
        silence = features.new_full((len(features), max(PAST, ahead * CURRENT), features.shape[2]), SILENCE)
        known = states[:, before - ahead - 1] if before > ahead else torch.zeros_like(states[:, 0])
        if ahead:
            heard = torch.cat([silence[:, :PAST], features[:, : CURRENT * before], silence[:, : self.net.lookahead]], 1)
            known = self.net.hear(heard[:, CURRENT * (before - ahead):], known, style)[1][:, -1]
        follows = torch.cat([silence[:, : ahead * CURRENT], features[:, CURRENT * begin:]], 1)
        return self.net.utter(follows, style, known)[0][:, ahead:]

    def _shown_points(self, hidden):
        """Landmarks (B, T, 68, 3) on the average face, as they are shown."""
        with torch.autocast(hidden.device.type, enabled=False):
            logits, _, meet = self.net.parts(hidden)
            return self.loss.points(self.net.shown(logits, meet))

    def displacement(self, utterance: Utterance) -> np.ndarray:
        """What it moves the average face by, (T, 68, 3) eye distances."""
        device = device_of(self.net)
        with torch.inference_mode():
            answer = self.net(heard(utterance, self.net.lookahead).to(device), style_of(utterance).to(device))
            return self.loss.points(answer[..., :-1])[0].cpu().numpy()

    def export(self, folder: Path) -> None:
        """Write the graph of the network, which must be on the CPU."""
        export(self.net, folder / "speech_landmarks.onnx")


class KflmTrainee(torch.nn.Module):
    """`kflm`: every excerpt is put onto another face and with another emotion, so that identity and label have to act.

    Beside the features it hears whose articulation is wanted (`STYLES`), as `stream` does.

    Args:
        encoder, folder: see `load_encoder`.
    """

    learning_rate = 7e-4  # attention diverges at the other's rate
    undisturbed = 0.0

    def __init__(self, lookahead: int, sync: float | None = None, encoder: str = LOG_MEL, folder: Path | None = None,
                 taught: int = 0):  # fmt: skip
        super().__init__()
        if lookahead != LOOKAHEAD or sync is not None or taught:
            raise UserError("kflm hears the whole utterance and has no critic: --lookahead, --sync and --teacher are for stream.")
        self.encoder = load_encoder(encoder, folder)
        self.told = {"model": "kflm", "encoder": encoder, "encoder_weights": self.encoder.weights}
        self.net, self.motion = KflmNet(self.encoder.width + len(STYLES)), MouthLoss()
        units = np.stack([expression_weights(Expression(label, level=3)) for label in LABELS])  # (8, 52)
        basis, neutral = load_basis()
        self.register_buffer("feelings", torch.tensor(np.tensordot(units, basis, 1), dtype=torch.float32))  # (8, 68, 3)
        self.register_buffer("neutral", torch.tensor(neutral, dtype=torch.float32))

    def forward(self, features, weights, speaking, style, visemes, taught, progress: float) -> dict[str, torch.Tensor]:
        """The parts of the loss, as `StreamTrainee`'s."""
        batch, device = len(weights), weights.device
        emotion = F.one_hot(torch.randint(len(LABELS), (batch,)), len(LABELS)) * torch.rand(batch, 1)
        larger, moved = 1 + 0.06 * torch.randn(batch, 1, 3), 0.01 * torch.randn(batch, 68, 3)
        emotion, larger, moved = (drawn.to(device, non_blocking=True) for drawn in (emotion, larger, moved))  # the CPU's draws
        neutral = self.neutral * larger + moved
        points, speaks = self._answer(features, neutral, emotion, style)
        with torch.autocast(device.type, enabled=False):
            felt = torch.einsum("be,epx->bpx", emotion, self.feelings)
            true = neutral[:, None] + self.motion.points(weights) + felt[:, None]
            return kflm_loss(points.float(), true, speaks.float(), speaking)[1]

    def _answer(self, features, neutral, emotion, style):
        frames = features[:, :-(LOOKAHEAD // CURRENT)]
        styles = style[:, None].expand(-1, frames.shape[1], -1)
        return self.net(torch.cat([frames, styles], 2), neutral, emotion)

    def displacement(self, utterance: Utterance) -> np.ndarray:
        """What it moves the average face by without an emotion, (T, 68, 3) eye distances."""
        device = device_of(self.net)
        with torch.inference_mode():
            features, style = (t.to(device) for t in (heard(utterance, LOOKAHEAD, self.encoder), style_of(utterance)))
            neutral = self.neutral[None]
            points, _ = self._answer(features, neutral, neutral.new_zeros(1, len(LABELS)), style)
            return (points[0] - neutral).cpu().numpy()

    def export(self, folder: Path) -> None:
        """As `StreamTrainee`'s; a network of another encoder than log-mel has none."""
        if self.encoder.name == LOG_MEL:
            export_kflm(self.net, folder / "kflm.onnx")
        else:
            print(f"There is no kflm.onnx of this network: the runtime hears log-mel, not {self.encoder.name}.")


MODELS = {"stream": StreamTrainee, "kflm": KflmTrainee}


def told_by(path: Path) -> dict[str, str]:
    """What a file of weights tells about its network (`told` of its trainee); nothing, if training did not write it."""
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{path} is no file of weights (safetensors): {error}.") from error


def load_net(trainee: torch.nn.Module, path: Path) -> None:
    """Weights of a file into a trainee's network.

    Raises:
        UserError: they are another network's.
    """
    told, mine = told_by(path), trainee.told
    wrong = [f"{name} {told[name]}, not {mine[name]}" for name in mine if told.get(name, mine[name]) != mine[name]]
    try:
        if not wrong:
            trainee.net.load_state_dict(load_file(path))
    except RuntimeError:  # torch's list of all the shapes
        wrong = ["its shapes differ"]
    if wrong:
        raise UserError(f"{path} holds another network than {mine['model']} with these settings ({'; '.join(wrong)}).")


def load_trainee(path: Path, folder: Path | None = None) -> torch.nn.Module:
    """A trained network, ready to be judged.

    Args:
        folder: of its encoder's weights, where it has some that can't be shipped.

    Raises:
        UserError: the file doesn't tell what network it is of, or its encoder isn't here.
    """
    told = told_by(path)
    if told.get("model") not in MODELS:
        raise UserError(f"{path} doesn't tell what network it is of: landmarks.train writes files that do.")
    trainee = MODELS[told["model"]](int(told.get("lookahead", LOOKAHEAD)), encoder=told.get("encoder", LOG_MEL), folder=folder)
    load_net(trainee, path)
    return trainee.eval()
