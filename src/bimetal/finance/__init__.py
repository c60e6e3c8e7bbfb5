"""Finance solutions: each a package, none of which knows another."""
