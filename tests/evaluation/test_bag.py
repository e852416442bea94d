"""Bags in every shape that recorders leave: storages, compressions, cut off, incomplete, wrong."""

import sqlite3

import numpy as np
import pytest
from evaluation import bags
from evaluation.bags import START_NS
from rosbags.rosbag2 import CompressionMode

from atl_evaluation.bag import pictures, read_bag
from atl_evaluation.events import Asked, Chunk, End, Marks, Shown
from atl_evaluation.storage import own_types
from atl_face.align import CropTransform
from atl_face.errors import UserError

SOUND = (8000 * np.sin(np.arange(16000) / 20)).astype(np.int16)  # 1 s
POINTS = np.random.default_rng(0).uniform(0, 1, (68, 3)).astype(np.float32)
PICTURE = np.random.default_rng(1).integers(0, 255, (32, 24, 3), np.uint8)
EVENTS = 50 + 1 + 1 + 1 + 2  # of face_messages: chunks, end, portrait, expression, landmarks
MATRIX = np.array([[0.02, 0, 0.1], [0, 0.02, 0.2]])


class FACE:
    id, picture, transform, neutral = "0123456789abcdef", PICTURE, CropTransform(MATRIX), POINTS.astype(np.float64)


def face_messages(with_clock: bool = False) -> list[tuple[str, int, object]]:
    messages = [
        ("/robot_face/portrait", START_NS - 10, bags.portrait(FACE)),
        ("/robot_face/expression", START_NS - 5, bags.expression("happy", 0.5, 3)),
        *bags.chunks(SOUND),
        ("/robot_face/landmarks", START_NS + 10**8, bags.landmarks(1, 0, POINTS, FACE.id)),
        ("/robot_face/landmarks", START_NS + 10**8 + 1, bags.landmarks(1, 1, POINTS, FACE.id)),
        ("/robot_face/image_raw", START_NS + 10**8 + 2, bags.image(PICTURE, START_NS + 40_000_000)),
        ("/diagnostics", START_NS + 10**8 + 3, bags.diagnostics("/robot_face/landmark", frames=2)),
    ]
    if with_clock:
        messages += [("/clock", START_NS + k * 10**7, bags.clock(k * 10**7)) for k in range(10)]
    return messages


def check_complete(bag) -> None:
    """Everything of face_messages is there."""
    times = [event.log_ns for event in bag.events]
    assert times == sorted(times) and len(bag.events) == EVENTS
    (sound,) = bag.sounds().values()
    assert np.array_equal(sound.samples, SOUND.astype(np.float32) / 32768)
    assert (sound.stream_id, sound.start_ns, sound.lost, sound.ended) == (1, START_NS, 0, True)
    shown = bag.of(Shown)[0].portrait
    assert np.array_equal(shown.picture, PICTURE) and np.array_equal(shown.transform.matrix, MATRIX)
    assert shown.id == FACE.id and np.array_equal(np.float32(shown.neutral), POINTS)
    assert (bag.of(Asked)[0].label, bag.of(Asked)[0].intensity, bag.of(Asked)[0].level) == ("happy", 0.5, 3)
    assert np.array_equal(bag.of(Marks)[1].frame.points, POINTS) and bag.of(Marks)[1].stamp_ns == START_NS + 40_000_000


@pytest.mark.parametrize("with_clock", [False, True])
@pytest.mark.parametrize("storage, mode", [("mcap", "NONE"), ("mcap", "STORAGE"), ("mcap", "MESSAGE"), ("mcap", "FILE"),
                                           ("sqlite3", "NONE"), ("sqlite3", "MESSAGE"), ("sqlite3", "FILE")])  # fmt: skip
def test_every_storage_and_compression_gives_the_same(tmp_path, storage, mode, with_clock):
    path = bags.write(tmp_path / "bag", face_messages(with_clock), storage, CompressionMode[mode])
    bag = read_bag(path)
    check_complete(bag)
    assert bag.problems == [] and ("/clock" in bag.topics) == with_clock
    check_complete(read_bag(next(file for file in path.iterdir() if file.name.startswith("bag."))))  # a file alone
    (picture,) = pictures(bag)
    assert picture[0] == START_NS + 40_000_000 and np.array_equal(picture[1], PICTURE)


def lz4_bag(path, messages):
    """An mcap with lz4 chunks, which rosbags doesn't write."""
    mcap_writer = pytest.importorskip("mcap.writer", reason="mcap isn't installed: requirements/dev.txt")
    with path.open("wb") as file:
        writer = mcap_writer.Writer(file, chunk_size=20_000, compression=mcap_writer.CompressionType.LZ4)
        writer.start("ros2", "test")
        channels = {}
        for topic, log_ns, message in messages:
            if topic not in channels:
                kind = bags.TYPES_BY_TOPIC[topic]
                text = own_types().generate_msgdef(kind, ros_version=2)[0]
                channels[topic] = writer.register_channel(topic, "cdr", writer.register_schema(kind, "ros2msg", text.encode()))
            data = own_types().serialize_cdr(message, bags.TYPES_BY_TOPIC[topic])
            writer.add_message(channels[topic], log_ns, bytes(data), log_ns)
        writer.finish()
    return path


def test_lz4_chunks_and_messages_out_of_order(tmp_path):
    check_complete(read_bag(lz4_bag(tmp_path / "bag.mcap", face_messages()[::-1])))


@pytest.mark.parametrize("compression", ["zstd", "none", "lz4"])
def test_of_a_cut_off_mcap_what_is_there_is_read(tmp_path, compression):
    noise = np.random.default_rng(0).integers(-9999, 9999, (40, 16000))  # 1.3 MB that doesn't compress: several chunks
    messages = [*face_messages(), *(("/robot_face/audio", START_NS + k * 10**9, bags.chunk(2, k * 16000, sound))
                                    for k, sound in enumerate(noise, 1))]  # fmt: skip
    if compression == "lz4":
        whole = lz4_bag(tmp_path / "bag.mcap", messages)
    else:
        mode = CompressionMode.STORAGE if compression == "zstd" else CompressionMode.NONE
        whole = bags.write(tmp_path / "bag", messages, "mcap", mode) / "bag.mcap"
    data, counts = whole.read_bytes(), []
    cut = tmp_path / "cut.mcap"
    for share in (0.4, 0.8, 1.0):
        cut.write_bytes(data[: int(share * len(data)) - 5])
        bag = read_bag(cut)
        counts.append(len(bag.events))
        assert "cut off" in bag.problems[0]
    assert 0 < counts[0] < counts[1] < counts[2] == EVENTS + 40
    assert counts[1] > EVENTS  # of a chunk that is cut off, too
    cut.write_bytes(data[:30])  # within the header
    with pytest.raises(UserError, match="no bag that can be read"):
        read_bag(cut)


def test_a_bag_without_metadata_or_with_a_part_missing(tmp_path):
    path = bags.write(tmp_path / "bag", face_messages())
    metadata = (path / "metadata.yaml").read_text()
    (path / "metadata.yaml").write_text(metadata.replace("- bag.mcap", "- bag.mcap\n  - bag_1.mcap"))
    bag = read_bag(path)
    check_complete(bag)
    assert bag.problems == ["1 files of the bag are missing: bag_1.mcap."]
    (path / "metadata.yaml").unlink()
    bag = read_bag(path)
    check_complete(bag)
    assert len(bag.problems) == 1 and "metadata.yaml" in bag.problems[0]


def test_an_old_sqlite_bag_without_definitions_is_read_with_our_types(tmp_path):
    path = bags.write(tmp_path / "bag", face_messages(), "sqlite3", CompressionMode.NONE)
    with sqlite3.connect(path / "bag.db3") as base:
        base.executescript("DROP TABLE message_definitions; UPDATE schema SET schema_version = 3;")
    check_complete(read_bag(path))


def test_what_cannot_be_read_is_counted_and_the_rest_is_there(tmp_path):
    bad = bags.landmarks(1, 2, np.full((68, 3), np.nan), FACE.id)
    torn = bytes(own_types().serialize_cdr(bags.chunk(1, 0, SOUND[:320]), "atl_msgs/msg/AudioChunk"))[:100]
    messages = [*face_messages(), ("/robot_face/landmarks", START_NS + 5, bad), ("/robot_face/audio", START_NS + 6, torn),
                ("/robot_face/audio", START_NS + 7, b"")]  # fmt: skip
    bag = read_bag(bags.write(tmp_path / "bag", messages))
    check_complete(bag)
    assert sorted(line.split(" (")[0] for line in bag.problems) == [
        "1 messages of /robot_face/landmarks could not be read", "2 messages of /robot_face/audio could not be read",
    ]  # fmt: skip


def changed(message, field, value):
    setattr(message, field, value)
    return message


@pytest.mark.parametrize("message, sentence", [
    (lambda: bags.landmarks(1, 2, 1e9 * POINTS, FACE.id), "in or near the crop"),  # finite, but nothing ends drawing it
    (lambda: changed(bags.portrait(FACE), "crop", np.zeros(6)), "crop isn't near its picture"),
    (lambda: changed(bags.portrait(FACE), "crop", np.full(6, 1e-12)), "crop isn't near its picture"),
    (lambda: changed(bags.portrait(FACE), "crop", (MATRIX + [0, 0, 50]).ravel()), "crop isn't near its picture"),
    (lambda: changed(bags.portrait(FACE), "neutral", np.zeros(204, np.float32)), "no face"),
    (lambda: changed(bags.portrait(FACE), "neutral", np.full(204, 1e9, np.float32)), "no face"),
])  # fmt: skip
def test_damaged_numbers_are_counted(tmp_path, message, sentence):
    topic = "/robot_face/landmarks" if sentence.startswith("in or") else "/robot_face/portrait"
    bag = read_bag(bags.write(tmp_path / "bag", [*face_messages(), (topic, START_NS + 5, message())]))
    check_complete(bag)
    assert len(bag.problems) == 1 and sentence in bag.problems[0]


@pytest.mark.parametrize("place", [0, 5, 50])
def test_a_damaged_sample_number_costs_its_chunk_alone(tmp_path, place):
    messages = face_messages()
    stray = ("/robot_face/audio", messages[2 + place][1], bags.chunk(1, 0, SOUND[:320]))
    stray[2].first_sample = 2**63
    bag = read_bag(bags.write(tmp_path / "bag", [*messages[: 2 + place], stray, *messages[2 + place:]]))
    check_complete(bag)
    assert bag.problems == ["1 chunks of sound were left out: their numbers leap away from their stream."]


def test_wrong_types_and_missing_topics_are_told(tmp_path):
    text = bags.made("std_msgs/msg/String", data="hello")
    messages = [("/robot_face/audio", START_NS, text)] + [m for m in face_messages() if m[0] == "/robot_face/landmarks"]
    bag = read_bag(bags.write(tmp_path / "bag", messages, types={"/robot_face/audio": "std_msgs/msg/String"}))
    assert len(bag.of(Marks)) == 2 and not bag.of(Chunk) and not bag.of(End)
    assert len(bag.problems) == 2
    assert "1 messages of /robot_face/audio were left out: they are std_msgs/msg/String" in bag.problems[0]
    assert "no messages on /robot_face/portrait" in bag.problems[1]


def test_the_face_is_found_in_any_namespace(tmp_path):
    def moved(space):
        return [(topic.replace("/robot_face", space), at, message) for topic, at, message in face_messages()]

    def kinds(space):
        return {topic.replace("/robot_face", space): kind for topic, kind in bags.TYPES_BY_TOPIC.items()}

    path = bags.write(tmp_path / "one", moved("/a/head"), types=kinds("/a/head"))
    assert read_bag(path).namespace == "/a/head"
    check_complete(read_bag(path, "a/head"))
    with pytest.raises(UserError, match="no face in /b: choose a namespace of /a/head"):
        read_bag(path, "/b")
    path = bags.write(tmp_path / "two", [*moved("/a"), *moved("/b")], types={**kinds("/a"), **kinds("/b")})
    with pytest.raises(UserError, match="several faces: choose a namespace of /a, /b"):
        read_bag(path)
    assert read_bag(path, "/b").namespace == "/b"


def test_what_is_no_bag_is_told_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match="There is no bag"):
        read_bag(tmp_path / "nowhere")
    for name in ("~nouser_of_this_name/bag", "x" * 300):
        with pytest.raises(UserError, match="can't be opened"):
            read_bag(name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path / "folder", tmp_path / "notes.txt"):
        with pytest.raises(UserError, match="is no bag: give a folder"):
            read_bag(path)
    for name, content in (("a.mcap", b"hello, this is no bag"), ("b.mcap", b""), ("c.db3", b"SQLite?" * 50), ("d.db3", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="is no bag that can be read"):
            read_bag(tmp_path / name)
    for storage in bags.STORAGES:
        with pytest.raises(UserError, match="holds no messages"):
            read_bag(bags.write(tmp_path / f"empty_{storage}", [], storage, CompressionMode.NONE))
    clock_only = bags.write(tmp_path / "clock", [("/clock", START_NS, bags.clock(0))])
    with pytest.raises(UserError, match="none of a face's topics .* it has /clock .rosgraph_msgs/msg/Clock, 1"):
        read_bag(clock_only)


def test_sound_is_put_together_from_chunks_that_are_lost_doubled_or_late(tmp_path):
    pieces = bags.chunks(SOUND[:15900])  # the last chunk is short; the end is told
    order = [*pieces[:10], *pieces[12:20], pieces[5], *pieces[20:]]  # 640 samples lost, one chunk twice
    other = bags.chunks(SOUND[:640], stream=2, start_ns=START_NS + 2 * 10**9)[:-1]
    bag = read_bag(bags.write(tmp_path / "bag", [*order, *other]))
    one, two = bag.sounds().values()
    expected = SOUND[:15900].copy()
    expected[3200:3840] = 0
    assert np.array_equal(one.samples, expected.astype(np.float32) / 32768) and one.lost == 640 and one.ended
    assert len(two.samples) == 640 and not two.ended and two.start_ns == START_NS + 2 * 10**9
