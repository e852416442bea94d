"""The wire types' hashes (REP 2016): bags and other machines depend on them. Comments and defaults may change, fields may not."""

import json
from pathlib import Path

import pytest

HASHES = {
    "action/Say": "RIHS01_63e221fee834cf6f157a23209c79088773ab523c28478ce1ad322ad26e4b54fa",
    "msg/AudioChunk": "RIHS01_2b281904352977daf08e7ff523117b82874bfbb7ed260f864aac191f774ff349",
    "msg/Expression": "RIHS01_9d0aa1ed234ce411159a174a4998699c337eadc988e3ca6ed0fcbe2f30f5a495",
    "msg/FaceLandmarks": "RIHS01_17d71c7895ca19342d222d4e6abb52739a5f142b5dac7541f96cdb79ff65d300",
    "msg/Portrait": "RIHS01_d3889738971f92aab859cf747a39ef02ad74734bf33b57154ff05814a016f545",
    "srv/SetPortrait": "RIHS01_807c38d897113327275958294299003ced9b1ff53fb7af7701893aa50f42e3a2",
}


@pytest.fixture(scope="module")
def share() -> Path:
    index = pytest.importorskip("ament_index_python", reason="ROS 2 is not here: the messages are not built")
    return Path(index.get_package_share_directory("atl_msgs"))


def test_every_type_is_pinned(share):
    assert {f"{f.parent.name}/{f.stem}" for f in share.rglob("*.json")} == set(HASHES)


@pytest.mark.parametrize("name", HASHES)
def test_the_wire_types_have_not_changed(share, name):
    described = json.loads((share / f"{name}.json").read_text())
    hashes = {entry["type_name"]: entry["hash_string"] for entry in described["type_hashes"]}
    assert hashes[f"atl_msgs/{name}"] == HASHES[name]
