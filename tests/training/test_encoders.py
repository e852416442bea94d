"""What `kflm` may hear: each encoder alone, and a training of one from the command to the figures that it is judged by."""
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks are trained with requirements/training.txt: torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from atl_face.errors import UserError  # noqa: E402
from atl_face.stream import FRAME_SAMPLES  # noqa: E402
from atl_landmark_node import features  # noqa: E402
from atl_landmark_node.kflm import INPUTS, KflmModel, default_path  # noqa: E402
from atl_landmark_node.model import CURRENT, LOOKAHEAD, STYLES  # noqa: E402
from atl_training import noises  # noqa: E402
from atl_training.landmarks import arms, encoders, judge, models, no_speech, train  # noqa: E402
from atl_training.landmarks.data import Batches, load_shards  # noqa: E402
from atl_training.landmarks.models import KflmTrainee, load_trainee, told_by  # noqa: E402

SAMPLE = Path(__file__).parents[1] / "data" / "corpus_sample"
SHIPPED_STREAM = default_path().with_name("speech_landmarks.safetensors")
SOUND = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)


class Loudness(encoders._Pretrained):
    """An encoder that is small enough for tests: how loud 20 ms are, ten times over."""

    name, width, weights, hop, window = "moonshine", 10, "0123", 320, 320

    def __init__(self):
        super().__init__()
        self.heard = []

    def _encode(self, sound):
        self.heard.append(len(sound))
        level = np.abs(sound[: len(sound) // self.hop * self.hop]).reshape(-1, self.hop).mean(1)
        return np.tile(level[:, None], (1, self.width)).astype(np.float32)


@pytest.fixture
def loudness(monkeypatch):
    """It, where training looks for Moonshine."""
    encoder, usual = Loudness(), models.load_encoder
    monkeypatch.setattr(models, "load_encoder", lambda name, folder=None: encoder if name == "moonshine" else usual(name, folder))
    return encoder


def test_log_mel_is_four_frames_of_the_runtimes_features_side_by_side():
    encoder = encoders.load_encoder("logmel")
    heard = encoder(SOUND[:-100])
    assert heard.shape == (25, encoder.width) == (25, INPUTS - len(STYLES))
    assert np.array_equal(heard[:24].reshape(96, -1), features.log_mel(SOUND)[:96])
    moved = [encoder.disturbed(np.random.default_rng(seed), SOUND) for seed in range(8)]
    assert 0 < sum(not np.array_equal(one, encoder(SOUND)) for one in moved) < 8  # half of another throat


def test_other_rates_are_interpolated_to_the_frames_middles():
    hop, window = 384, 895
    middles = hop * np.arange(60) + window / 2  # a feature that tells the time it is about
    made = encoders.to_frames(middles[:, None].astype(np.float32), hop, window, 25)[:, 0]
    assert np.allclose(made[1:], 640 * (np.arange(1, 25) + 0.5)) and made[0] == window / 2  # nothing lies before the first


@pytest.mark.parametrize("frames", [1, encoders.BLOCK, encoders.BLOCK + 1, 400])
def test_a_long_sound_is_heard_in_blocks_as_training_hears_it_without_seams(frames):
    encoder = Loudness()
    sound = np.abs(np.sin(np.arange(frames * FRAME_SAMPLES) / 9000)).astype(np.float32)
    heard = encoder(sound)
    assert heard.shape == (frames, 10) and max(encoder.heard) <= encoders.BLOCK * FRAME_SAMPLES
    true = sound.reshape(frames, -1).mean(1)
    assert np.abs(heard[:, 0] - true).max() < 0.02  # of a sound from 0 to 1


def test_held_out_clips_are_heard_once():
    encoder = Loudness()
    first, second, other = encoder.once(SOUND), encoder.once(SOUND.copy()), encoder.once(0.5 * SOUND)
    assert len(encoder.heard) == 2 and first is second and np.allclose(other, 0.5 * first)


@pytest.mark.skipif(importlib.util.find_spec("moonshine_voice") is None,
                    reason="the package of the encoder isn't here: pip install --no-deps moonshine-voice==0.0.73")  # fmt: skip
def test_moonshine_hears_every_frame_where_it_is():
    encoder = encoders.load_encoder("moonshine")
    silence = 1e-3 * SOUND
    changed = silence.copy()
    changed[10 * 640:11 * 640] += 0.3 * SOUND[:640]
    a, b = encoder(silence), encoder(changed)
    assert a.shape == (25, encoder.width) and abs(int(np.argmax(np.abs(a - b).sum(1))) - 10) <= 1
    assert encoder(np.tile(SOUND, 5)).shape == (125, encoder.width) and len(encoder.weights) == encoders.ID_DIGITS


@pytest.fixture
def tiny_wav2vec2(tmp_path):
    """A folder with a wav2vec2 of random weights, 32 features."""
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    config = transformers.Wav2Vec2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                                         conv_dim=(16, 16), conv_kernel=(10, 4), conv_stride=(20, 16), num_feat_extract_layers=2,
                                         num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)  # fmt: skip
    torch.manual_seed(0)
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_wav2vec2_is_read_from_a_folder_and_hears_every_frame(tiny_wav2vec2):
    encoder = encoders.load_encoder("wav2vec2", tiny_wav2vec2)
    assert (encoder.hop, encoder.window, encoder.width) == (320, 10 + 3 * 20, 32)
    changed = SOUND.copy()
    changed[10 * 640:11 * 640] *= 3
    difference = np.abs(encoder(SOUND) - encoder(changed)).sum(1)
    assert difference.shape == (25,) and abs(int(difference.argmax()) - 10) <= 1
    trainee = KflmTrainee(LOOKAHEAD, None, "wav2vec2", tiny_wav2vec2)
    assert trainee.net.inputs == 32 + len(STYLES) and trainee.told["encoder_weights"] == encoder.weights
    assert not any("encoder._model" in name for name in trainee.state_dict())  # it isn't trained, nor kept


def test_a_folder_of_other_weights_is_no_wav2vec2(tiny_wav2vec2):
    path = tiny_wav2vec2 / "model.safetensors"
    weights = load_file(path)
    dropped = next(name for name in weights if "feature_projection" in name)
    save_file({name: value for name, value in weights.items() if name != dropped}, path, {"format": "pt"})
    with pytest.raises(UserError, match="lacks weights of wav2vec2"):
        encoders.load_encoder("wav2vec2", tiny_wav2vec2)
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match="can't be read"):
        encoders.load_encoder("wav2vec2", tiny_wav2vec2)


def test_what_an_encoder_lacks_is_told_in_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no encoder 'hubert'"):
        encoders.load_encoder("hubert")
    with pytest.raises(UserError, match="--encoder-weights"):
        encoders.load_encoder("wav2vec2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for make, wanted in ((encoders.Moonshine, "moonshine-voice"), (lambda: encoders.Wav2Vec2(tmp_path), "transformers")):
        with pytest.raises(UserError, match=f"pip install .*{wanted}"):
            make()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    for config in (None, "{", '{"model_type": "hubert"}'):
        (tmp_path / "model.safetensors").touch()
        if config:
            (tmp_path / "config.json").write_text(config)
        with pytest.raises(UserError, match="holds no wav2vec2"):
            encoders.Wav2Vec2(tmp_path)


def test_batches_of_an_encoder_are_of_landmark_frames(loudness):
    utterances = [u for u in load_shards([SAMPLE]) if not u.held]
    batch = Batches(utterances, 25, 2, seed=4, silent_share=0.0, encoder=loudness).draw()
    features_ = batch[0]
    assert features_.shape == (2, 25 + LOOKAHEAD // CURRENT, loudness.width) and features_.dtype == np.float32
    parts = KflmTrainee(LOOKAHEAD, None, "moonshine")(*map(torch.from_numpy, batch), 0.0)
    assert all(torch.isfinite(value) for value in parts.values())


def run(monkeypatch, module, *options):
    """A command's main, in this process."""
    monkeypatch.setattr(sys, "argv", ["command", *map(str, options)])
    monkeypatch.setattr(noises, "_given", None)  # what a run puts there goes with the test
    module.main()


def test_a_run_remembers_its_encoder_from_training_to_judging(tmp_path, monkeypatch, loudness, capsys):
    out = tmp_path / "run"
    out.mkdir()
    np.save(out / no_speech.FILE, np.random.default_rng(0).standard_normal((noises.KEPT, 800), np.float32))
    monkeypatch.setattr(train, "BATCH", 4)
    asked = ("--shards", SAMPLE, "--out", out, "--model", "kflm", "--steps", 2, "--every", 1, "--threads", 1)
    run(monkeypatch, train, *asked, "--encoder", "moonshine")
    assert "the runtime hears log-mel, not moonshine" in capsys.readouterr().out and not (out / "kflm.onnx").exists()
    best = out / "best.safetensors"
    assert told_by(best) == {"model": "kflm", "encoder": "moonshine", "encoder_weights": "0123"}
    assert load_trainee(best).net.inputs == loudness.width + len(STYLES)
    told = json.loads((out / "metrics.json").read_text())
    row = arms.row_of(out)
    assert row["encoder"] == "moonshine" and row["sync"] is row["lookahead_ms"] is None

    run(monkeypatch, judge, "--weights", best, SHIPPED_STREAM, "--shards", SAMPLE, "--out", tmp_path / "judged.json")
    judged = json.loads((tmp_path / "judged.json").read_text())
    assert judged[str(best)]["rules"]["net"] == told["rules"]["net"]  # `net`, as training had it
    assert judged[str(SHIPPED_STREAM)]["rules"]["net"]["gap_r"] > 0.5

    with pytest.raises(UserError, match="encoder moonshine"):
        run(monkeypatch, train, *asked)
    begin = ("--shards", SAMPLE, "--out", tmp_path / "other", "--begin", best)
    with pytest.raises(UserError, match="encoder moonshine, not logmel"):
        run(monkeypatch, train, *begin, "--model", "kflm")
    with pytest.raises(UserError, match="model kflm, not stream"):
        run(monkeypatch, train, *begin)
    loudness.weights = "4567"
    with pytest.raises(UserError, match="encoder_weights 0123, not 4567"):
        load_trainee(best)


def test_stream_and_encoders_without_weights_refuse_what_they_cant_use(tmp_path, monkeypatch):
    asked = ("--shards", SAMPLE, "--out", tmp_path)
    with pytest.raises(UserError, match="--encoder is for kflm"):
        run(monkeypatch, train, *asked, "--encoder", "wav2vec2")
    with pytest.raises(UserError, match="other encoders need none"):
        run(monkeypatch, train, *asked, "--model", "kflm", "--encoder-weights", tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="no file of weights"):
        told_by(tmp_path / "a.safetensors")


def test_the_shipped_networks_are_what_training_makes_by_default(tmp_path):
    onnx = pytest.importorskip("onnx", reason="requirements/training.txt: onnx")
    KflmModel()  # refuses another width
    trainee = KflmTrainee(LOOKAHEAD)
    assert trainee.net.inputs == INPUTS and trainee.encoder.name == "logmel"
    mine = {name: tuple(value.shape) for name, value in trainee.net.named_parameters()}
    shipped = {one.name: tuple(one.dims) for one in onnx.load(default_path()).graph.initializer if one.name in mine}
    assert len(shipped) > 40 and all(mine[name] == shape for name, shape in shipped.items())

    train.save_net(trainee, tmp_path / "best.safetensors")
    again = load_trainee(tmp_path / "best.safetensors")
    assert again.encoder.name == "logmel" and not again.training
    assert all(torch.equal(value, trainee.net.state_dict()[name]) for name, value in again.net.state_dict().items())
    save_file(dict(trainee.net.state_dict()), tmp_path / "untold.safetensors")
    with pytest.raises(UserError, match="doesn't tell what network"):
        load_trainee(tmp_path / "untold.safetensors")
    with pytest.raises(UserError, match="shapes differ"):
        models.load_net(models.StreamTrainee(LOOKAHEAD), tmp_path / "untold.safetensors")


def test_training_hears_what_the_runtime_hears(tmp_path):
    pytest.importorskip("onnx", reason="export needs requirements/training.txt: onnx")
    from atl_face.emotion import Expression

    torch.manual_seed(0)
    trainee = KflmTrainee(LOOKAHEAD).eval()
    trainee.export(tmp_path)
    utterance = load_shards([SAMPLE])[0]
    count = len(utterance.weights)
    mel = features.log_mel(utterance.sound[: count * FRAME_SAMPLES].astype(np.float32) / 32768).reshape(count, CURRENT, -1)
    model = KflmModel(STYLES[utterance.style], tmp_path / "kflm.onnx")
    moved, _ = model.infer(mel, trainee.neutral.numpy(), Expression(intensity=0.0))
    assert np.abs(moved - trainee.displacement(utterance)).max() < 1e-4
