"""Tuning: from labelled pictures to an adapter, trained and told honestly."""
