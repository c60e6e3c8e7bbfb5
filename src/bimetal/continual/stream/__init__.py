"""For the practitioner: a classifier that goes on learning, row by row, and labels that come late."""
