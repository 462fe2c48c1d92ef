"""Quotas, prices, subsidies and the ledger: pure rules over plain data."""
