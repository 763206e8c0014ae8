"""The commands of ``bounds``: each adds its options to a parser, and runs."""
