"""Listening tests: build a trial, take it in a browser, evaluate the answers."""
