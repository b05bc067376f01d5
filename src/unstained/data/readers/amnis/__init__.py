"""What Amnis instruments and IDEAS write: directories and strips of a .cif, populations."""
