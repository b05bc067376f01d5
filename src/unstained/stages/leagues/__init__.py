"""Parts of the stage `compare`: registry (`release`) and statistics (`comparison`) joined."""
