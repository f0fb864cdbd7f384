"""The REST resources of the gateway, one module each."""
