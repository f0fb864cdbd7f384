"""Anti-corruption layer: nothing outside this package knows Meta's JSON."""
