"""What each type of inbound event does to its conversation: one function a type."""
