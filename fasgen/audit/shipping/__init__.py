"""A store, or its shards, copied to another disk or to an object store."""
