"""Values and decisions of the domain; standard library only."""
