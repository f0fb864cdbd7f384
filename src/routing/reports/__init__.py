"""Reports on an account's enquiries: what is counted, over which span, and how it is shown."""
