"""What does the service cost, and what does it hold? Figures of a real twistd on loopback."""
