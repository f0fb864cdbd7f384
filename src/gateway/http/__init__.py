"""REST plumbing shared by every resource: problems, authentication, pages, idempotency."""
