"""The command line: one module per command group; each command imports its app when it runs."""
