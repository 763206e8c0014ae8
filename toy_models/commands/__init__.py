"""The commands of ``toy-models``: each adds its options to a parser, and runs."""
