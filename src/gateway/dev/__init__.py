"""The whole gateway on one machine: embedded parts, sandbox, all roles, and a demo."""
