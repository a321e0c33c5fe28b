"""What a delivery says of itself: its index and its data card."""
