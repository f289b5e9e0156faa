"""What both GANs share and no model knows: configuration, the loop, checkpoints, tracking, measures."""
