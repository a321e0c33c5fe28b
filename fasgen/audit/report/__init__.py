"""What a store shows to people: the morning report, and sheets of pictures."""
