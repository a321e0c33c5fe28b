"""One file from data to table: protocols, trainings of each fold, generation, shards, detectors and the figures."""
