"""Which rows of a store show the same file, the same picture or the same person, and who of them is on two sides."""
