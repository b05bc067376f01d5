"""Parts of the stage `compare`: registry (`release`) and statistics (`evaluation`) joined."""
