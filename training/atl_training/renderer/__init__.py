"""Training of the renderer: pack segments of talking video, train the U-Net as a bridge, export it, judge it."""
