"""`python -m atl_landmark_node` starts the node."""

import sys

from atl_landmark_node.node import main

sys.exit(main())
