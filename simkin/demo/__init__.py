"""Demo media: pictures drawn and songs played on the spot, seeded, written as real files."""
