"""The outbound process: claims deliveries, sends them, settles what came of it."""
