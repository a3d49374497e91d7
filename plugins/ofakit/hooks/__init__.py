"""Hooks of the training loop, registered in ModelScope's HOOKS; their keys are those of ModelScope's hooks."""
