"""White blood cells by differential phase contrast (BSCCM; Nazir & Behera 2026)."""
