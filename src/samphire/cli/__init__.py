"""The command line: talks, parses and calls; every file a command."""
