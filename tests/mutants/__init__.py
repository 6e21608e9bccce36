"""Parts with one mistake each, by the check that is to find it."""
