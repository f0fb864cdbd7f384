"""Where Meta and third parties post: verify, normalise, make durable, then answer."""
