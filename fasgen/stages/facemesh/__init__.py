"""Dense landmarks of a face: a mesh of 468 points with depth, and what belongs together on it."""
