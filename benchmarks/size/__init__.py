"""The hot statements at a million rows: what fills the tables, what runs, what the plans say."""
