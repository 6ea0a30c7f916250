"""Relations learned from the owner's own edges: fitted, judged on what was held out, and reported."""
