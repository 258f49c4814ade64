"""The command: arguments, exit codes, terminals."""
