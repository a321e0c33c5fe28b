"""What ``verify`` checks, one subject a file."""
