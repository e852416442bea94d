"""`python -m atl_display_node`."""

import sys

from atl_display_node.node import main

sys.exit(main())
