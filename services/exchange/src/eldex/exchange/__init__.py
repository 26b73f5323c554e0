"""The bus: every cross-department look has a reason and leaves a proof."""
