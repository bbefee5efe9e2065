"""What a campaign is written to, for other programs."""
