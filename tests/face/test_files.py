"""Names of files to write."""

import pytest

from atl_face.errors import UserError
from atl_face.files import clip_to_write


@pytest.mark.parametrize("name", ["clip.wav", "clip.webm", "clip"])
def test_a_clip_is_an_mp4(tmp_path, name):
    with pytest.raises(UserError, match="name it clip.mp4"):
        clip_to_write(tmp_path / name)
    assert clip_to_write(tmp_path / "clip.MP4") == tmp_path / "clip.MP4"
    assert str(clip_to_write("/dev/null")) == "/dev/null"


def test_a_clip_does_not_overwrite_what_it_is_made_from(tmp_path):
    speech, other = tmp_path / "speech.mp4", tmp_path / "again.mp4"
    speech.write_bytes(b"sound")
    other.symlink_to(speech)
    for out in (speech, other):
        with pytest.raises(UserError, match="is what the clip is made from"):
            clip_to_write(out, None, speech)
    assert clip_to_write(tmp_path / "new.mp4", "nosuch.mp4", speech) == tmp_path / "new.mp4"
    assert clip_to_write(speech, "~nosuchuser/a.wav", "x" * 300, None) == speech
