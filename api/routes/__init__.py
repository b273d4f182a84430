"""The routes of the HTTP API, a module for each subject. They hold no rules: each asks the registry's folder one thing."""
