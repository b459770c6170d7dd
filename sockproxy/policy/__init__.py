"""Who may reach what? Pure decisions, one answer for every way in."""
