"""What each stage does, from files to files; `pipeline.catalogue` names them in order."""
