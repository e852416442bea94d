"""Everything that is asked of the renderer, measured as the runtime runs it: docs/renderer.json."""
