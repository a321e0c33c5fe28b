"""What lies at an address (``s3://bucket/key``): the one place that opens it, by whatever fsspec has a driver for."""
