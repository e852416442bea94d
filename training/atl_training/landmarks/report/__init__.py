"""Everything that is asked of the landmark stage, measured as the runtime runs it: docs/landmarks.json."""
