"""What a campaign keeps in its folder."""
