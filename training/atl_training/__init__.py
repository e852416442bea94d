"""Training code of ATL Avatar: corpora, networks' training loops, evaluation. Nothing that users run imports this."""
