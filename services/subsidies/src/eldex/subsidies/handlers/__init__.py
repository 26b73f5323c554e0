"""What subsidies are asked to do, and what they need for that."""
