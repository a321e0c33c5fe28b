"""What all diffusion here shares: noise levels, grids, and samplers."""
