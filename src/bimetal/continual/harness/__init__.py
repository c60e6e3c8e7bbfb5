"""Learners side by side: sequences run, strengths tuned, results measured and tabled."""
