"""What institutions are asked to do, one file for each part of the field."""
