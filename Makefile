# ATL Avatar: `make avatar` is the whole way from a fresh machine to a talking face.
.PHONY: help setup avatar test training results lint clean
.DEFAULT_GOAL := help

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12
	@echo
	@echo 'make avatar AUDIO=speech.wav|mic PORTRAIT=face.jpg OUT=clip.mp4 PORT=8080   (each may be left out)'

setup: ## Virtual environment, pinned requirements, workspace; nothing to do the second time
	@tools/setup.sh

avatar: setup ## Start the whole graph and print the address of the page with the talking face
	@.venv/bin/atl run $${AUDIO:+--audio "$$AUDIO"} $${PORTRAIT:+--portrait "$$PORTRAIT"} \
	  $${OUT:+--out "$$OUT"} $${PORT:+--port "$$PORT"}

test: setup ## All tests
	@.venv/bin/atl-python -m pytest tests

training: ## Environment of corpus, training and evaluation, with the command .venv-training/bin/atl-corpus
	@tools/setup_training.sh

results: setup training ## docs/results.md measured anew: DATA=shards GRID=clips FOLDER=clips PORTRAITS=pictures (tools/results.sh)
	@tools/results.sh

lint: setup ## Style, and who may import whom
	@.venv/bin/ruff check .
	@.venv/bin/python tools/lint_imports.py

clean: ## Remove everything that make setup made
	rm -rf .venv
