"""A run, composed: built as the recipe says, trained, evaluated, exported; a function per command.

`commands` is the way in. It imports TensorFlow; `request`, which reads flags, does not.
"""
