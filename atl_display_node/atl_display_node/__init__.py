"""The face on a page, in a window or in a clip, in step with its sound, after a constant delay."""
