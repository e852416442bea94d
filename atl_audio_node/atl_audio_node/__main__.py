"""`python -m atl_audio_node`."""

import sys

from atl_audio_node.node import main

sys.exit(main())
