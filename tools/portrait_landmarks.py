"""Write the shipped portrait's landmarks beside it: `.venv/bin/atl-python tools/portrait_landmarks.py`.

With them the default face starts without loading the detector; a test holds them to what the detector says.
"""

import hashlib
import json

from atl_diffusion_node.portrait import default_portrait_path
from atl_face.detect import find_face
from atl_face.media import read_picture

if __name__ == "__main__":
    path = default_portrait_path()
    data = path.read_bytes()
    record = {"id": hashlib.sha256(data).hexdigest()[:16], "landmarks_px": find_face(read_picture(data)).round(2).tolist()}
    path.with_suffix(".json").write_text(json.dumps(record))
