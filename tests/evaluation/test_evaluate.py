"""`atl evaluate` on a small bag: the folder, figures that must hold, the verdict as exit code, mistakes in one sentence."""

import json

import numpy as np
import pytest
from evaluation import bags
from evaluation.bags import START_NS

from atl_bringup.cli import main
from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_evaluation.bag import read_bag
from atl_evaluation.rerun import Rerun
from atl_evaluation.summary import metrics_of
from atl_face.media import ClipWriter, read_audio
from atl_face.stream import FRAME_RATE, SAMPLE_RATE

pytest.importorskip("mediapipe", reason="frames are judged by mediapipe's landmarks")

PX = 256
SECONDS = 2


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Two seconds of the shipped face and speech."""
    atl_audio_node = pytest.importorskip("atl_audio_node")
    sound = read_audio(f"{atl_audio_node.__path__[0]}/data/default_speech.flac")[SAMPLE_RATE:][: SECONDS * SAMPLE_RATE]
    shown = ("/robot_face/portrait", START_NS - 10**9, bags.portrait(load_portrait(default_portrait_path(), PX)))
    return bags.write(tmp_path_factory.mktemp("bag") / "talk", [shown, *bags.chunks(np.int16(32767 * sound))])


@pytest.fixture(scope="module")
def run(bag, tmp_path_factory):
    """The folder of an evaluation with a reference: a film of the same frames."""
    folder = tmp_path_factory.mktemp("run")
    with ClipWriter(folder / "film.mp4", (PX, PX), FRAME_RATE, SAMPLE_RATE) as film:
        for frame in Rerun(read_bag(bag)):
            film.write_frame(frame.picture)
    assert main(["evaluate", str(bag), "--out", str(folder / "run"), "--reference", str(folder / "film.mp4")]) == 0
    return folder / "run"


def test_the_folder_is_whole(run):
    summary = json.loads((run / "summary.json").read_text())
    rows = [json.loads(line) for line in (run / "frames.jsonl").read_text().splitlines()]
    assert summary["frames"]["count"] == len(rows) == SECONDS * FRAME_RATE and summary["verdict"] == "passed"
    assert {"gap_driven", "gap_seen", "gap_real", "render_ms", "landmark_ms"} <= rows[0].keys()
    assert rows[1]["stamp_s"] - rows[0]["stamp_s"] == pytest.approx(0.04)
    page = (run / "report.html").read_text()
    assert page.count("data:image/") > 6 and "passed" in page


def test_figures_of_a_film_of_itself(run):
    figures = {name: metric["value"] for name, metric in json.loads((run / "summary.json").read_text())["metrics"].items()}
    assert figures["real_gap_correlation"] > 0.97 and figures["real_m_lmd"] < 1 and figures["real_gap_lag"] == 0
    assert figures["psnr"] > 33 and figures["ssim"] > 0.95, "only the film's coding lies between"
    assert figures["gap_correlation"] > 0.9


def test_baselines_stand_beside(run):
    metrics = json.loads((run / "summary.json").read_text())["metrics"]
    assert set(metrics["gap_correlation"]["baselines"]) == {"still portrait", "warp only", "detector floor"}
    assert metrics["m_lmd"]["baselines"]["still portrait"] > metrics["m_lmd"]["value"] > 0
    assert "ground truth" in metrics["lse_d"]["baselines"]


def test_the_same_bag_gives_the_same_frames_and_a_verdict_can_fail(bag, run, tmp_path, capsys):
    (tmp_path / "never.yaml").write_text("conditions:\n  - metric: gap_correlation\n    at_least: 1.1\n")
    command = ["evaluate", str(bag), "--out", str(tmp_path / "again"), "--conditions", str(tmp_path / "never.yaml")]
    assert main(command) == 1 and "failed" in capsys.readouterr().out
    first, again = (json.loads((folder / "summary.json").read_text()) for folder in (run, tmp_path / "again"))
    assert first["frames"]["sha256"] == again["frames"]["sha256"] and first["bag"] == again["bag"]
    assert "real_m_lmd" not in again["metrics"]


@pytest.mark.parametrize("options,sentence", [
    (["--conditions", "{here}/typo.yaml"], "'gap_corelation', which is no metric"),
    (["--reference", "{here}/nothing.mp4"], "nothing.mp4"),
    (["--reference", "{here}/notes.txt"], "can't be decoded"),
    (["--params", "{here}/notes.txt"], "isn't a ROS parameter file"),
    (["--params", "{here}/node.yaml"], "no node 'landmrk'"),
    (["--params", "{here}/parameter.yaml"], "no parameter 'articulaton'"),
    (["--conditions", "{here}/notes.txt"], "notes.txt"),
])  # fmt: skip
def test_mistakes_are_told_in_a_sentence(bag, tmp_path, capsys, options, sentence):
    (tmp_path / "notes.txt").write_text("nothing of use")
    (tmp_path / "typo.yaml").write_text("conditions:\n  - {metric: gap_corelation, at_least: 0, optional: true}")
    (tmp_path / "node.yaml").write_text("/**/landmrk: {ros__parameters: {seed: 1}}")
    (tmp_path / "parameter.yaml").write_text("/**/landmark: {ros__parameters: {articulaton: real}}")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text("an older run's")
    options = [option.format(here=tmp_path) for option in options]
    assert main(["evaluate", str(bag), "--out", str(tmp_path / "run"), *options]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told
    assert (tmp_path / "run" / "summary.json").read_text() == "an older run's", "no run has begun"


def test_silence_has_no_figures_and_what_is_wrong_is_told(tmp_path):
    """40 frames of silence, 64 samples of it lost; their landmarks recorded, but for two; a film of 9 frames of another size."""
    face = load_portrait(default_portrait_path(), PX)
    chunks = bags.chunks(np.zeros(40 * 640, np.int16))
    chunks[5][2].samples = chunks[5][2].samples[:-64]
    messages = [("/robot_face/portrait", START_NS - 10**9, bags.portrait(face)), *chunks]
    made = list(Rerun(read_bag(bags.write(tmp_path / "sound", messages)), draws=False))
    marks = [bags.landmarks(1, frame.index, frame.landmarks.points, face.id) for frame in made[:-2]]
    marks[7].points[100] += 0.25
    path = bags.write(tmp_path / "bag", [*messages, *(("/robot_face/landmarks", START_NS + 10**9, mark) for mark in marks)])
    with ClipWriter(tmp_path / "film.mp4", (192, 192), FRAME_RATE, SAMPLE_RATE) as film:
        for _ in range(9):
            film.write_frame(load_portrait(default_portrait_path(), 192).picture)
    out, portrait = tmp_path / "run", str(default_portrait_path())
    code = main(["evaluate", str(path), "--out", str(out), "--reference", str(tmp_path / "film.mp4"), "--portrait", portrait])
    summary = json.loads((out / "summary.json").read_text())
    metrics, problems = summary["metrics"], {problem["what"]: problem["count"] for problem in summary["problems"]}
    assert all(metrics[name]["value"] is None for name in ("gap_correlation", "gap_lag", "lse_c", "lse_d", "sync_offset"))
    assert code == 1 and {row["verdict"] for row in summary["conditions"]} == {"passed", "not measured"}
    assert summary["frames"]["landmarks_compared"] == 38
    assert summary["frames"]["landmarks_max_difference"] == pytest.approx(0.25, abs=1e-6)
    assert "psnr" not in metrics and metrics["real_m_lmd"]["value"] is not None and "ground truth" in metrics["jerk"]["baselines"]
    assert [count for what, count in problems.items() if "end of the reference" in what] == [31]
    assert [count for what, count in problems.items() if "the reference video has 192 x 192 px" in what] == [9]
    assert [count for what, count in problems.items() if "samples of sound are missing" in what] == [64]
    assert any("portrait was given, but the bag has its own" in what for what in problems)


def test_means_over_stretches():
    rows = [(250, {"jerk": 10.0, "gap_lag": -2.0}), (50, {"jerk": 4.0, "gap_lag": 2.0}), (8, {"jerk": np.nan, "unknown": 1.0})]
    found = metrics_of({"": rows, "still portrait": [(8, {"gap_lag": -3.0})]})
    assert found.keys() == {"jerk", "gap_lag"} and found["jerk"]["value"] == pytest.approx(9), "as heavy as it is long"
    assert found["gap_lag"]["value"] == 2, "late and early don't make in time"
    assert found["gap_lag"]["note"] == "with its sign -1.33" and found["gap_lag"]["baselines"] == {"still portrait": 3}
    assert found["jerk"]["interval"] is None, "two stretches say nothing of others"
    low, high = metrics_of({"": [(10, {"jerk": value}) for value in (1.0, 2.0, 3.0, 4.0, 5.0)]})["jerk"]["interval"]
    assert 1 < low < 3 < high < 5
