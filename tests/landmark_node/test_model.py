"""The network's step: what it computes in, and whose memory its answers lie in."""
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from atl_audio_node import __file__ as audio_room
from atl_face.errors import UserError
from atl_face.inference import load_openvino
from atl_face.media import read_audio
from atl_face.topology import eye_distance, lip_gap
from atl_landmark_node import model as model_module
from atl_landmark_node.face_model import average_neutral
from atl_landmark_node.features import MELS
from atl_landmark_node.kflm import default_path as kflm_path
from atl_landmark_node.model import OUTPUTS, STYLES, WINDOW, SpeechModel
from atl_landmark_node.stream import landmarks_of


@pytest.fixture(scope="module")
def sound():
    return read_audio(Path(audio_room).parent / "data" / "default_speech.flac")[:96000]


@pytest.mark.skipif(not model_module.prefers_bf16(), reason="bfloat16 doesn't pay on this processor: nothing computes in it")
def test_bfloat16_moves_the_landmarks_as_float32_does(sound):
    neutral = average_neutral()
    exact, coarse = (np.stack([frame.points for frame in landmarks_of(sound, neutral, SpeechModel(precision=precision))])
                     for precision in ("f32", "bf16"))  # fmt: skip
    assert 0 < np.abs(coarse - exact).max() < 0.002 * eye_distance(neutral)
    assert np.corrcoef(lip_gap(exact), lip_gap(coarse))[0, 1] > 0.9995


@pytest.mark.parametrize("native, precision", [(True, "bf16"), (False, "f32")])
def test_the_processor_decides_on_the_precision(monkeypatch, native, precision):
    asked, compiled = [], model_module.compile_on_cpu
    monkeypatch.setattr(model_module, "prefers_bf16", lambda: native)
    monkeypatch.setattr(model_module, "compile_on_cpu", lambda path, chosen: asked.append(chosen) or compiled(path, chosen))
    SpeechModel()
    SpeechModel(precision="f32")
    assert asked == [precision, "f32"]


def test_an_answer_stays_what_it_was_when_the_next_one_is_made():
    model, window = SpeechModel(), np.random.default_rng(0).standard_normal((WINDOW, MELS)).astype(np.float32)
    weights, speech, state = model.step(window, model.start())
    kept = weights.copy(), state.copy()
    again, _, moved = model.step(-window, state)
    assert weights.shape == (OUTPUTS - 1,) and 0 <= speech <= 1 and state.shape == model.start().shape
    assert np.array_equal(weights, kept[0]) and np.array_equal(state, kept[1])
    assert not np.array_equal(again, weights) and not np.array_equal(moved, state)
    same, _, _ = SpeechModel().step(window, model.start())
    assert np.array_equal(same, weights), "nothing of an earlier step is left in a model"
    with pytest.raises(ValueError, match="shape"):
        model.step(window[0], state)
    rules, _, _ = SpeechModel("rules").step(window, model.start())
    assert not np.array_equal(rules, weights), "the style that was asked for is heard"


def test_threads_that_share_a_model_wait_for_each_other():
    model, rng = SpeechModel(), np.random.default_rng(0)
    windows = [rng.standard_normal((WINDOW, MELS)).astype(np.float32) for _ in range(8)]
    alone = [model.step(window, model.start())[0] for window in windows]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda window: model.step(window, model.start())[0], windows * 25))
    assert all(np.array_equal(answer, alone[index % 8]) for index, answer in enumerate(together))


def test_a_network_of_ones_own_may_have_another_width(tmp_path):
    openvino = load_openvino()
    from openvino import opset13 as ops

    window = ops.parameter([1, WINDOW, MELS], np.float32)
    state, style = (ops.parameter([1, width], np.float32) for width in (7, len(STYLES)))
    loudest = ops.reduce_max(window, np.array([1, 2]), keep_dims=False)
    answer = ops.multiply(ops.sigmoid(loudest), ops.constant(np.ones((1, OUTPUTS), np.float32)))
    moved = ops.add(state, ops.constant(np.ones((1, 7), np.float32)))
    openvino.save_model(openvino.Model([answer, moved], [window, state, style]), tmp_path / "mine.xml", compress_to_fp16=False)
    model = SpeechModel(path=tmp_path / "mine.xml", precision="f32")
    weights, speech, state = model.step(np.full((WINDOW, MELS), 2.0, np.float32), model.start())
    assert np.allclose(weights, 1 / (1 + np.exp(-2)), atol=1e-6) and state.tolist() == [[1.0] * 7]


def test_what_is_no_network_is_told_in_one_sentence(tmp_path):
    (tmp_path / "text.onnx").write_text("no graph")
    for path, told in ((tmp_path / "none.onnx", "There is no network"), (tmp_path / "text.onnx", "OpenVINO can't run"),
                       (tmp_path, "There is no network"),
                       (tmp_path / (300 * "n"), "can't be opened"), (Path(__file__), "is no .onnx file"),
                       (kflm_path(), "not a network of `stream`")):  # fmt: skip
        with pytest.raises(UserError, match=told) as problem:
            SpeechModel(path=path)
        assert str(path) in str(problem.value) and "\n" not in str(problem.value)


@pytest.mark.parametrize("width, kind", [(-1, np.float32), (7, np.int32)])
def test_a_network_whose_state_has_no_fixed_width_or_another_type_is_refused(tmp_path, width, kind):
    openvino = load_openvino()
    from openvino import opset13 as ops

    window, style = ops.parameter([1, WINDOW, MELS], np.float32), ops.parameter([1, len(STYLES)], np.float32)
    state = ops.parameter([1, width], kind)
    answer = ops.constant(np.ones((1, OUTPUTS), np.float32))
    openvino.save_model(openvino.Model([answer, state], [window, state, style]), tmp_path / "odd.xml", compress_to_fp16=False)
    with pytest.raises(UserError, match="not a network of `stream`"):
        SpeechModel(path=tmp_path / "odd.xml", precision="f32")
