"""The figures of `atl bench` on made-up arrivals whose truth is known."""

import sys

import numpy as np
import pytest

pytest.importorskip("rclpy")

from atl_bringup import bench, streams  # noqa: E402
from atl_bringup.bench import asked, bench_precisions, bench_start, percentiles, speed_table, with_rate  # noqa: E402
from atl_bringup.cli import main  # noqa: E402
from atl_bringup.observe import counted, dropped, latencies, rate  # noqa: E402
from atl_diffusion_node.runtime import OpenVinoRuntime  # noqa: E402
from atl_face.errors import UserError  # noqa: E402

MS = 1_000_000


def test_latency_is_from_the_arrival_of_the_last_sample_needed():
    # 20 ms chunks, each arriving 5 ms after its end; frame k needs 40 ms of its own and 80 ms ahead: 120 ms, chunk 5 + 2 k
    audio = [(k * 20 * MS, 320, (k * 20 + 25) / 1000) for k in range(60)]
    frames = {k * 40 * MS: (k * 40 + 120 + 5 + 30 + k) / 1000 for k in range(20)}  # 30 ms and a growing rest later
    np.testing.assert_allclose(list(latencies(audio, frames).values()), 30 + np.arange(20), atol=1e-6)


def test_latency_waits_for_a_late_chunk():
    audio = [(k * 20 * MS, 320, (k * 20 + 25 + (100 if k == 5 else 0)) / 1000) for k in range(10)]
    assert latencies(audio, {0: 0.3}) == pytest.approx({0: 300 - 225})


def test_dropped_counts_holes_after_the_first_second():
    stamps = [k * 40 * MS for k in range(100) if k not in (3, 40, 41, 77)]
    audio = [(k * 20 * MS, 320, 0.0) for k in range(200)]
    assert dropped(dict.fromkeys(stamps, 0.0), audio) == 3, "the hole in the first second doesn't count"
    assert dropped({k * 40 * MS + (k % 3) * 400_000: 0.0 for k in range(100)}, audio) == 0, "jitter of a stamp is no hole"


@pytest.mark.parametrize("pause_ms", [10_000, 10_013, 10_020, 10_033])  # streams don't begin at whole frames of one another
def test_a_pause_between_two_streams_is_no_drop_and_its_end_no_latency(pause_ms):
    audio, frames = [], {}
    for start in (0, pause_ms):
        audio += [((start + k * 20) * MS, 320, (start + k * 20 + 20) / 1000) for k in range(100)]
        frames |= {(start + k * 40) * MS: (start + k * 40 + 150) / 1000 for k in range(50)}
    found = latencies(audio, frames)
    assert len(found) == 96 and list(found.values()) == pytest.approx([30] * 96), "the last two frames wait for no sample"
    assert dropped(frames, audio) == 0
    del frames[(pause_ms + 400) * MS], frames[1600 * MS]
    assert dropped(frames, audio) == 2
    assert rate([at for *_, at in audio]) == 50 and rate([1.0]) is None and rate([]) is None


def test_avatars_at_once_are_timed_and_a_device_that_is_not_here_is_told(monkeypatch, capsys):
    monkeypatch.setattr(streams, "WARM_UP", 1)
    monkeypatch.setattr(streams, "FRAMES", 4)
    one, two = streams.bench_streams(OpenVinoRuntime(1), *bench.spoken(), [1, 2])
    for row, count in ((one, 1), (two, 2)):
        assert row["streams"] == count and row["fps_all"] == pytest.approx(count * row["fps_each"], abs=0.2)
        assert row["network_ms"] + row["rest_ms"] <= 1.01 * row["p99_ms"] and row["holds"] == (row["fps_each"] >= 25)
    assert two["runtime"] == f"{one['runtime']} x2"
    monkeypatch.setattr(sys, "argv", ["atl", "bench", "--seconds", "0", "--streams", "0"])
    assert main() == 2 and "1 or more" in capsys.readouterr().err

    def absent(*_):
        raise UserError("No CUDA device can be used here.", "no_cuda")

    monkeypatch.setattr(bench, "make_runtime", absent)
    monkeypatch.setattr(sys, "argv", ["atl", "bench", "--device", "cuda"])
    assert main() == 2 and "No CUDA device" in capsys.readouterr().err


def test_percentiles_and_rate():
    values = np.arange(1, 101)
    assert percentiles(values) == {"p50_ms": 50.5, "p95_ms": 95.05, "p99_ms": 99.01, "max_ms": 100}
    assert with_rate(np.full(10, 20.0))["fps"] == 50 and percentiles([]) == {}


def test_the_display_counts_between_two_reports():
    first = {"frames_shown": "10", "frames_late": "3", "frames_dropped": "4"}
    last = {"frames_shown": "110", "frames_late": "3", "frames_dropped": "5"}
    assert counted(first, last) == {"frames_shown": 100, "frames_late": 0, "frames_dropped": 1}
    assert counted({}, last) == dict.fromkeys(first), "a run too short for two reports"


def test_the_table_gives_the_ratio_to_the_reference_in_torch():
    whole, network = {"p50_ms": 12.5, "fps": 80.0}, {"p50_ms": 8.0, "fps": 120.0}
    result = {
        "landmark": {"params_m": 0.82, "gflop_per_frame": 0.003, "p50_ms": 0.5, "fps": 2000.0},
        "renderer": {"params_m": 0.75, "gflop_per_frame": 1.91, "runtime": "openvino-bf16", "drawn_at_px": 256,
                     "network_px": [(128, 128), (96, 112)], "stages": {"network": network, "total": whole}},
    }  # fmt: skip
    assert "paper" not in speed_table(result)
    speeds = {key: {"name": f"{key}-f32", "p50_ms": 1e3 / fps, "fps": fps} for key, fps in (("torch", 0.5), ("runtime", 2.0))}
    result["reference"] = {"params_m": 41.87, "gflop_per_frame": 246.2, "pixels": "128x128", **speeds}
    rows = [line.split() for line in speed_table(result).splitlines()[2:]]
    assert [row[-1] for row in rows] == ["–", "240", "160", "1", "4"]
    assert rows[2][2:7] == ["256x256", "0.75", "1.91", "12.5", "80"]


def test_without_torch_the_reference_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "atl_diffusion_node.paper_unet", raising=False)
    assert main(["bench", "--seconds", "0", "--reference"]) == 2
    assert "requirements/training.txt" in capsys.readouterr().err


def test_a_fresh_process_tells_what_its_start_its_memory_and_a_new_photo_cost():
    start = bench_start(2, starts=1)
    parts = [start[f"{part}_ms"] for part in ("python", "imports", "portrait", "runtime", "identity", "frame")]
    assert min(parts) > 0 and sum(parts) == pytest.approx(start["total_ms"], abs=1)
    assert 100 < start["rss_mb"] <= start["rss_with_detector_mb"] < 5000
    if "new_photo_ms" in start:  # mediapipe is here
        assert 0 < start["new_identity_ms"] < start["new_photo_ms"] < start["first_photo_ms"]


def test_only_precisions_that_the_runtime_offers_are_timed(monkeypatch):
    class Fake:
        concurrent = False

        def __init__(self, device, threads, precision):
            if precision == "int8":
                raise RuntimeError("Wrong value int8 for property key INFERENCE_PRECISION_HINT")
            if device == "onnxruntime":
                raise UserError("ONNX Runtime can't be loaded.", "no_onnxruntime")
            self.name = f"fake-{precision}"

        def of(self, view):
            return self

        def identity(self, portrait, rasters):
            return []

        def step(self, x_s, warped, guides, features, memory):
            return np.zeros_like(warped), np.zeros_like(warped[:, :2, ::4, ::4]), []

    monkeypatch.setattr(bench, "make_runtime", Fake)
    monkeypatch.setattr(bench, "WARM_UP", 1)
    speeds = bench_precisions(2, frames=8)
    assert list(speeds) == ["fake-f32", "fake-bf16"] and min(row["fps"] for row in speeds.values()) > 0


def test_what_was_asked_is_met_or_not_and_what_was_not_measured_is_left_out():
    result = {"renderer": {"fps": 60.0, "p99_ms": 25.1},
              "start": {"total_ms": 2000.0, "identity_ms": 50.0, "rss_mb": 300, "rss_with_detector_mb": 701}}  # fmt: skip
    assert [row["met"] for row in asked(result)] == [True, False, True, True, True, False]
    result["renderer"] |= {"vs_paper_torch": 79.9, "vs_paper_runtime": 25.0}
    result["reference"] = {"runtime": {"name": "openvino-bf16"}}
    result["start"] |= {"new_identity_ms": 50.0, "new_photo_ms": 400.0, "first_photo_ms": 600.0}
    rows = asked(result)
    assert [row["met"] for row in rows] == [True, False, False, True, True, True, True, False, True, False]
    assert rows[3] == {"what": "times the paper's size in openvino-bf16", "asked": ">= 25", "is": 25.0, "met": True}
    assert max(len(row["what"]) for row in rows) <= 40, "the table on the screen cuts longer ones"
