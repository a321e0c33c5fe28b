"""How good is what was made: distances between sets of pictures by a network's features, nearest neighbours, and BRISQUE."""
