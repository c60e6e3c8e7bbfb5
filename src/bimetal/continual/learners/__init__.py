"""What learns: the metaplastic default, the published rule, and its rivals, each a file."""
