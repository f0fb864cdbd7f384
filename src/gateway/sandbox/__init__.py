"""Meta as the gateway sees it, for demos, tests and drills; no role imports it."""
