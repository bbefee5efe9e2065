"""Work on a campaign: orders, the processes that fill them, and the driver that hands them out."""
