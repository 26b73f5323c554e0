"""Who kept promises and who broke them: lists, joint punishment, repair, files, disclosure."""
