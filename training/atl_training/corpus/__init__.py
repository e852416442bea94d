"""Synthetic talking-head corpus: CC0 MakeHuman heads, drawn headless, speaking with free voices."""
