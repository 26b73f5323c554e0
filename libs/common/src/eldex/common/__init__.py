"""What every service needs and none owns; no business word in it."""
