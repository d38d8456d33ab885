"""What each kind of chunk computes: originals trained and scored, features removed, networks looked into."""
