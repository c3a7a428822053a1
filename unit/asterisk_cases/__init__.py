"""Calls of our own, written as Asterisk and FreePBX would have recorded them."""
