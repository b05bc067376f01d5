"""Neural stem cell lineages (Zhu et al. 2021)."""
