"""What a store shows to people: the delivery's index and data card, and sheets of pictures."""
