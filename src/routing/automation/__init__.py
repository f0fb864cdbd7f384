"""What routing lets a channel say by itself: its own words, and its bot's."""
