"""What belongs to one study alone: the numbers that its paper prints."""
