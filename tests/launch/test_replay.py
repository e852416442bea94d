"""`atl replay`: a bag's sound through the live graph gives the landmarks that it gives offline, and figures about the way."""

import numpy as np
import pytest
from evaluation import bags
from evaluation.bags import START_NS

pytest.importorskip("rclpy")

from atl_bringup.cli import make_parser  # noqa: E402
from atl_bringup.graph import default_speech  # noqa: E402
from atl_bringup.replay import main, replay  # noqa: E402
from atl_diffusion_node.portrait import default_portrait_path, load_portrait  # noqa: E402
from atl_evaluation.bag import read_bag  # noqa: E402
from atl_evaluation.events import Marks  # noqa: E402
from atl_evaluation.rerun import Rerun  # noqa: E402
from atl_face.errors import UserError  # noqa: E402
from atl_face.media import read_audio  # noqa: E402

SECONDS = 4


def options(bag, out, *words):
    return make_parser(("replay",)).parse_args(["replay", str(bag), "--out", str(out), *words])


def bag_of(folder, seconds: int):
    sound = np.int16(32767 * read_audio(default_speech())[16000 : 16000 * (1 + seconds)])
    face = load_portrait(default_portrait_path(), 256)
    return bags.write(folder / "bag", [("/robot_face/portrait", START_NS - 10, bags.portrait(face)), *bags.chunks(sound)])


def test_the_live_graph_does_what_the_cores_do(tmp_path):
    path, out = bag_of(tmp_path, SECONDS), tmp_path / "out"
    out.mkdir()
    live = replay(read_bag(path), out, options(path, out))
    assert set(live["nodes"]) == {"landmark", "diffusion", "display", "lifecycle_manager"}, "no audio node: the bag is the sound"
    assert all(node["rss_mb"] > 10 for node in live["nodes"].values())
    assert live["frames"] > 0 and live["latency"]["p99_ms"] > 0 and live["skew"]
    assert live["stages"]["landmark"]["p50_ms"] < live["latency"]["p50_ms"]
    assert live["rates_hz"]["audio"] == pytest.approx(50, rel=0.1)  # in real time
    assert set(live["player"]) == {"p50_ms", "p95_ms", "p99_ms", "max_ms"}
    new = read_bag(out / "bag")
    seen = {marks.frame.index: marks for marks in new.of(Marks)}
    offline = {frame.index: frame for frame in Rerun(read_bag(path), draws=False)}
    assert len(seen) > 10 * SECONDS
    for index, marks in seen.items():  # the stamps are the bag's: a replay lies beside its recording
        assert (marks.stream_id, marks.stamp_ns) == (1, START_NS + index * 40_000_000)
        assert np.array_equal(np.float32(offline[index].landmarks.points), marks.frame.points)
    (out / "summary.json").write_text("of this replay")
    with pytest.raises(UserError, match="holds a replay already"):
        main(options(path, out))
    assert (out / "summary.json").exists()


@pytest.mark.parametrize("words", [("--conditions", "nothing.yaml"), ("--reference", "nothing.mp4"), ("--portrait", "no.png"),
                                   ("--params", "nothing.yaml")])  # fmt: skip
def test_a_mistake_is_told_before_the_replay(tmp_path, monkeypatch, words):
    monkeypatch.setattr("atl_bringup.replay.replay", lambda *_: pytest.fail("it was replayed"))
    with pytest.raises(UserError, match=words[1]):
        main(options(bag_of(tmp_path, 1), tmp_path / "out", *words))


def test_a_bag_with_next_to_no_sound_is_refused(tmp_path):
    path = bag_of(tmp_path, 1)
    with pytest.raises(UserError, match="has 1.0 s of sound; a replay needs 3 s"):
        replay(read_bag(path), tmp_path / "out", options(path, tmp_path / "out"))
