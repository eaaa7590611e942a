"""What the host would execute from places that a guest can write: known before a session, compared after it."""
