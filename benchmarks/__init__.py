"""How fast and how large the gateway is, measured on the machine at hand: docs/benchmarks.md."""
