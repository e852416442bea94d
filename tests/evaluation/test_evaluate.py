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
    assert figures["real_gap_correlation"] > 0.98 and figures["real_m_lmd"] < 1 and figures["real_gap_lag"] == 0
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
    (["--reference", "{here}/nothing.mp4"], "nothing.mp4"),
    (["--reference", "{here}/notes.txt"], "can't be decoded"),
    (["--params", "{here}/notes.txt"], "no ROS parameter file"),
    (["--conditions", "{here}/notes.txt"], "notes.txt"),
])  # fmt: skip
def test_mistakes_are_told_in_a_sentence(bag, tmp_path, capsys, options, sentence):
    (tmp_path / "notes.txt").write_text("nothing of use")
    options = [option.format(here=tmp_path) for option in options]
    assert main(["evaluate", str(bag), "--out", str(tmp_path / "run"), *options]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told
