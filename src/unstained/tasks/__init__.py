"""What is asked of a cell: one file a kind of task, and `study` for all tasks of a study."""
