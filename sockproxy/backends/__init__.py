"""What is behind? The only way to a backend is `opening.Opening.open`."""
