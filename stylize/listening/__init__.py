"""Listening tests: build a trial, take it in a browser, read what listeners heard."""
