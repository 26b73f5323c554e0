"""Who is insured, what insurance pays for care, and who has a family doctor."""
