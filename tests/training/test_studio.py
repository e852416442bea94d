"""The studio's parts that need no downloaded assets: cameras, turns, teeth, glasses, ages, real motion, engines, plans."""

import operator
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the corpus generator needs requirements/training.txt: scipy")
pytest.importorskip("webdataset", reason="the corpus generator needs requirements/training.txt: webdataset")

from atl_face.errors import UserError
from atl_face.topology import WEIGHT, lip_gap
from atl_landmark_node.face_model import PortraitFace, average_neutral
from atl_training.augment import CameraNoise, degrade_sound
from atl_training.corpus.camera import Camera
from atl_training.corpus.dentition import Dentition, arrange, random_dentition
from atl_training.corpus.engines import run_jobs
from atl_training.corpus.following import follow
from atl_training.corpus.identity import life_shares
from atl_training.corpus.motion import EMOTIONS, NEUTRAL_SHARE, Take, _blend_of, random_mood
from atl_training.corpus.replay import fit_motion
from atl_training.corpus.rotation import angles_of, rotation_matrix
from atl_training.shards import Sample


def test_angles_come_back_from_their_matrix():
    angles = np.random.default_rng(0).uniform(-1.2, 1.2, (50, 3))
    assert np.allclose(angles_of(rotation_matrix(angles)), angles)


def test_the_camera_matrix_projects_as_the_camera_does():
    target = np.array([0.1, 7.2, 0.9])
    camera = Camera(288, np.radians(17), target, 0.9, 100, yaw=0.1, pitch=-0.05, roll=0.07)
    points = np.random.default_rng(0).normal(target, 0.4, (50, 3))
    millimetres = (points - target) * [1, -1, -1] * 100
    u, v, w = camera.matrix() @ np.c_[millimetres, np.ones(50)].T
    assert np.allclose(np.stack([u / w, v / w], 1), camera.project(points)[:, :2])


def test_a_rolled_camera_tilts_the_picture_clockwise():
    target = np.array([0.0, 7.2, 0.9])
    camera = Camera(288, np.radians(17), target, 0.9, 100, roll=0.1)
    left, right = camera.project(target + np.array([[-0.45, 0, 0], [0.45, 0, 0]]))[:, :2]
    assert np.isclose(np.arctan2(right[1] - left[1], right[0] - left[0]), 0.1, atol=1e-3)


def made_set() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """A toy set: eight upper and eight lower cubes in a row, 0.08 dm wide."""
    cube = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1], indexing="ij"), -1).reshape(-1, 3) * [0.035, 0.05, 0.03]
    places = [(x * 0.08, y, 0) for y in (6.6, 6.45) for x in np.arange(-3.5, 4)]
    vertices = np.concatenate([cube + place for place in places])
    teeth = [np.arange(8 * k, 8 * k + 8) for k in range(16)]
    return teeth, np.arange(len(vertices)) < 64, vertices


def test_a_plain_dentition_leaves_straight_teeth_alone():
    teeth, upper, vertices = made_set()
    moved = vertices.copy()
    shade = arrange(Dentition(), teeth, upper, moved)
    assert np.allclose(moved, vertices, atol=1e-6)
    assert np.allclose(shade[:, 0], 1)


def test_a_gap_parts_the_middle_incisors_and_a_missing_tooth_is_gone():
    teeth, upper, vertices = made_set()
    moved = vertices.copy()
    arrange(Dentition(gap=0.5, missing=2), teeth, upper, moved)
    middles = np.array([moved[rows].mean(0) for rows in teeth])
    wide = np.sort(np.abs(middles[:8, 0]))[:2].sum()
    assert np.isclose(wide, 0.08 + 0.04, atol=1e-3), "half a tooth more than before"
    sizes = np.array([np.ptp(moved[rows], 0).max() for rows in teeth])
    assert (sizes[:8] < 1e-6).sum() == 1 and (sizes[8:] > 0.05).all()


def test_crooked_teeth_differ_and_their_seed_repeats_them():
    teeth, upper, vertices = made_set()
    runs = []
    for seed in (1, 1, 2):
        moved = vertices.copy()
        arrange(Dentition(crooked=1, worn=1, stain=1, seed=seed), teeth, upper, moved)
        runs.append(moved)
    assert np.array_equal(runs[0], runs[1]) and not np.allclose(runs[0], runs[2])
    assert np.abs(runs[0] - vertices).max() < 0.08, "crooked, not scattered"


def test_old_teeth_are_duller_and_childrens_shorter():
    rng = np.random.default_rng(0)
    child, young, old = ([random_dentition(rng, age) for _ in range(300)] for age in (7, 25, 80))
    assert np.mean([d.length for d in child]) < np.mean([d.length for d in young]) - 0.1
    assert np.mean([d.stain for d in old]) > np.mean([d.stain for d in young]) + 0.15


def test_ages_mix_neighbouring_shapes_and_sum_to_one():
    for age in (5, 8, 10, 15, 20, 23, 25, 60, 85):
        shares = life_shares(age)
        assert np.isclose(sum(share for _, share in shares), 1) and all(share >= 0 for _, share in shares)
    assert dict(life_shares(10))["child"] == 1 and dict(life_shares(85))["old"] == 1


def test_moods_have_three_levels_and_all_eight_emotions():
    rng = np.random.default_rng(0)
    moods = [random_mood(rng) for _ in range(2000)]
    assert {mood.emotion for mood in moods} == set(EMOTIONS)
    assert abs(np.mean([mood.emotion == "neutral" for mood in moods]) - NEUTRAL_SHARE) < 0.05
    by_level = [np.mean([m.intensity for m in moods if m.level == level]) for level in (0, 1, 2, 3)]
    assert by_level[0] == 0 and np.all(np.diff(by_level) > 0.2)


def spoken_face(frames: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Landmarks of the average face that opens its jaw, raises its brows, blinks and turns; its weights and angles."""
    time = np.arange(frames) / 25
    weights = np.zeros((frames, 52))
    weights[:, WEIGHT["jawOpen"]] = 0.2 * (1 - np.cos(2 * np.pi * time))
    for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"):
        weights[:, WEIGHT[name]] = 0.3 * (1 - np.cos(np.pi * time))
    weights[30:33, [WEIGHT["eyeBlinkLeft"], WEIGHT["eyeBlinkRight"]]] = 1
    yaw = 0.12 * np.sin(np.pi * time)
    face = PortraitFace(average_neutral())
    return np.stack([face.points(w, rotation=(0, y, 0)) for w, y in zip(weights, yaw, strict=True)]), weights, yaw


def test_a_replay_is_told_from_another_film():
    rng = np.random.default_rng(0)

    def clip(key, text, gap, **facts):
        return Sample(key, {"text": text, **facts}, {"lip_gap": gap}, b"")

    films = [clip(f"film{k}", f"text {k}", np.convolve(rng.random(80), np.ones(4) / 4, "valid")) for k in range(4)]
    late = [np.concatenate([np.zeros(20), 0.9 * film.arrays["lip_gap"], np.zeros(10)]) for film in films]
    drawn = [clip(f"drawn{k}", f"text {k}", gap, motion="real") for k, gap in enumerate(late)]
    drawn.append(clip("rules", "text 0", rng.random(100), motion="rules"))
    told = follow(drawn, films)
    assert told["clips"] == 4 and told["gap_r"] > 0.999 and told["gap_r_of_another_film"] < 0.6
    assert abs(told["gap_amplitude"] - 0.9) < 1e-3
    with pytest.raises(UserError, match="replayed"):
        follow(drawn[-1:], films)


def test_real_motion_is_found_again():
    landmarks, weights, yaw = spoken_face()
    motion = fit_motion(landmarks)
    for name, least in (("jawOpen", 0.95), ("browInnerUp", 0.9)):
        found = motion.weights[:, WEIGHT[name]]
        assert np.corrcoef(found, weights[:, WEIGHT[name]])[0, 1] > least, name
    assert motion.weights[31, WEIGHT["eyeBlinkLeft"]] > 0.7 and np.median(motion.weights[:, WEIGHT["eyeBlinkLeft"]]) < 0.15
    assert np.ptp(motion.rotation[:, 1]) > 0.15 and abs(np.corrcoef(motion.rotation[:, 1], yaw)[0, 1]) > 0.95
    shut = lip_gap(landmarks) < 0.015
    assert (motion.shut[shut] > 0.9).all() and (motion.shut[lip_gap(landmarks) > 0.06] == 0).all()


def test_a_take_rules_its_stretch_and_fades_at_its_ends():
    take = Take(10, np.zeros((30, 52)), np.zeros((30, 3)), np.zeros((30, 3)), np.zeros(30))
    blend = _blend_of(take, 60, 25)
    assert (blend[:10] == 0).all() and (blend[40:] == 0).all() and (blend[17:33] == 1).all()
    assert np.all(np.diff(blend[9:17]) >= 0)


def doubled(number: int) -> int:
    return 2 * number


def test_the_pool_gives_every_answer_once():
    assert sorted(run_jobs("local", doubled, list(range(7)), 2)) == [0, 2, 4, 6, 8, 10, 12]


def failing(number: int) -> int:
    if number == 0:
        raise UserError("the first one fails")
    time.sleep(0.2)
    return number


def test_a_failed_job_ends_the_run_soon():
    began = time.monotonic()
    with pytest.raises(UserError, match="the first one fails"):
        list(run_jobs("local", failing, list(range(200)), 2))
    assert time.monotonic() - began < 10, "the other 199 were not worked off first"


def killed(number: int) -> int:
    import signal

    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_worker_is_told_in_a_sentence():
    with pytest.raises(UserError, match="run the same command again"):
        list(run_jobs("local", killed, list(range(6)), 2))


PARENT = """
import slow
from atl_training.corpus.engines import run_jobs
if __name__ == "__main__":
    for pid in run_jobs("local", slow.pid, [0] * 100, 2):
        print(pid, flush=True)
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    (tmp_path / "slow.py").write_text("import os, time\ndef pid(_):\n    time.sleep(0.3)\n    return os.getpid()\n")
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    workers = {int(parent.stdout.readline()) for _ in range(4)}
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_a_two_worker_ray_cluster_gives_the_same_answers():
    ray = pytest.importorskip("ray", reason="ray is optional: requirements/training.txt")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        assert sorted(run_jobs("ray", partial(operator.mul, 2), list(range(7)), 1)) == [0, 2, 4, 6, 8, 10, 12]
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_degraded_sound_stays_sound():
    rng = np.random.default_rng(0)
    sound = np.sin(np.arange(16000) / 9).astype(np.float32) * 0.3
    made = [degrade_sound(rng, sound) for _ in range(60)]
    assert all(len(m) == len(sound) and np.isfinite(m).all() and np.abs(m).max() <= 1 for m in made)
    assert sum(np.array_equal(m, sound) for m in made) in range(8, 35), "about a third stays as it is"


def test_one_camera_has_one_kind_of_fault():
    picture = np.full((64, 64, 3), 128, np.uint8)
    spread = []
    for seed in range(40):
        camera = CameraNoise(np.random.default_rng(seed))
        spread.append([camera(picture).std() for _ in range(3)])
    spread = np.array(spread)
    assert (spread[:, 0] == 0).any() and (spread[:, 0] > 1).any()
    assert (np.ptp(spread, 1) < 0.5).all()
