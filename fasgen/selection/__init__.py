"""Which rows count: a filter in SQL's expression language, the row sets of a protocol, and splits; the same for all who ask."""
