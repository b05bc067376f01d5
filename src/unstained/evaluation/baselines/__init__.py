"""All models of a study beside each other: folds, controls, experiments."""
