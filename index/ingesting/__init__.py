"""Files → catalog: scan, plan, describe in workers, commit."""
