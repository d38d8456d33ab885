"""Captum's own code as scorers: `catalogue` says what there is, `naming` reads names, `method` calls it."""
