"""Which carriers can a session have? Each is one file of the same outline."""
