"""How good masks are: against ground truth, by the field's own measures."""
