"""What happens to a message in the database, whichever role makes it happen."""
