"""Moving in from another proxy: what its files hold, and what becomes of it here."""
