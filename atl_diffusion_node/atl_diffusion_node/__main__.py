"""`python -m atl_diffusion_node` starts the node."""

import sys

from atl_diffusion_node.node import main

sys.exit(main())
