"""The command line: one module a command group, each importing its work when it runs."""
