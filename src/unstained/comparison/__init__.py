"""Every model of a study beside the others: tables and tests, explanations, uncertainty."""
