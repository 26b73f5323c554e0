"""The workshop of the contract: compiles, checks and documents what lies in proto/. Not shipped."""
